from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise

from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import with_action_noise

ACTIONS = spaces.Box(-1, 1, (3,), np.float32)


def test_names_are_rl_zoos() -> None:
    assert with_action_noise({"gamma": 0.9}, ACTIONS) == {"gamma": 0.9}
    made = with_action_noise({"gamma": 0.9, "noise_type": "normal", "noise_std": 0.2}, ACTIONS)
    noise = made.pop("action_noise")
    assert made == {"gamma": 0.9}
    assert type(noise) is NormalActionNoise
    np.random.seed(0)  # noqa: NPY002
    drawn = np.array([noise() for _ in range(2000)])
    assert drawn.shape == (2000, 3)
    assert np.allclose(drawn.mean(0), 0, atol=0.02)
    assert np.allclose(drawn.std(0), 0.2, atol=0.02)
    other = with_action_noise({"noise_type": "ornstein-uhlenbeck", "noise_std": 0.2}, ACTIONS)["action_noise"]
    assert type(other) is OrnsteinUhlenbeckActionNoise


@pytest.mark.parametrize(
    ("settings", "space", "says"),
    [
        ({"noise_type": "normall", "noise_std": 1}, ACTIONS, "Did you mean 'normal'"),
        ({"noise_std": 1}, ACTIONS, "noise_std=1 needs a noise_type"),
        ({"noise_type": "normal", "noise_std": True}, ACTIONS, "noise_std=True"),
        ({"noise_type": "normal"}, ACTIONS, "noise_std=None"),
        ({"noise_type": "normal", "noise_std": -1}, ACTIONS, "noise_std=-1"),
        ({"noise_type": "normal", "noise_std": 1}, spaces.Discrete(3), "for continuous actions"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], space: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        with_action_noise(settings, space)
