"""What VecNormalize knows, from training to evaluation and into files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import Normalization, save_statistics, with_statistics


class Far(gym.Env):
    """Observations around 100, a reward of 7."""

    def __init__(self, size: int = 2) -> None:
        self.observation_space = spaces.Box(-1000, 1000, (size,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observation(), 7.0, False, False, {}

    def _observation(self) -> Any:
        return (100 + self.np_random.standard_normal(self.observation_space.shape)).astype(np.float32)


def env(size: int = 2) -> VecEnv:
    return DummyVecEnv([lambda: Far(size)])


def trained(normalization: Normalization) -> PPO:
    model = PPO("MlpPolicy", normalization.training(env()), n_steps=64, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(64)
    return model


def test_options_are_rl_zoos() -> None:
    assert Normalization.of({}) == Normalization(False)
    assert not Normalization.of({"normalize": False, "gamma": 0.9}).wanted
    assert Normalization.of({"normalize": True}) == Normalization(True, {})
    given = {"normalize": {"norm_reward": False, "clip_obs": 5.0}, "gamma": 0.9}
    assert Normalization.of(given) == Normalization(True, {"gamma": 0.9, "norm_reward": False, "clip_obs": 5.0})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("yes", "normalize='yes': True, False"),
        ({"norm_obz": True}, "Did you mean 'norm_obs'"),
        (3, "normalize=3"),
        ({"clip_obs": "a"}, "clip_obs='a' is not a number above 0"),
        ({"epsilon": True}, "epsilon=True is not a number above 0"),
        ({"gamma": 2}, "gamma=2 is not a number from 0 to 1"),
        ({"norm_reward": 1}, "norm_reward=1 is not True or False"),
        ({"norm_obs_keys": "a"}, "norm_obs_keys='a' is not a list of names"),
        ({"training": False}, "Unknown option in normalize 'training'"),
    ],
)
def test_mistakes_are_named(value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Normalization.of({"normalize": value})


def test_what_cannot_be_normalised_is_named() -> None:
    with pytest.raises(ConfigurationError, match="cannot be normalised"):
        Normalization(True, {"norm_obs_keys": ["a"]}).training(env())


def test_unwanted_changes_nothing() -> None:
    plain = env()
    assert Normalization().training(plain) is plain
    assert Normalization().evaluation(plain) is plain


def test_evaluation_has_the_statistics_of_training_and_true_rewards(tmp_path: Path) -> None:
    normalization = Normalization(True)
    model = trained(normalization)
    save_statistics(model, tmp_path / "statistics.pkl")
    assert isinstance(model.env, VecNormalize)
    for wrapped in (normalization.evaluation(env(), model), with_statistics(env(), tmp_path / "statistics.pkl")):
        assert isinstance(wrapped, VecNormalize)
        assert np.allclose(wrapped.obs_rms.mean, 100, atol=1)
        assert np.array_equal(wrapped.obs_rms.mean, model.env.obs_rms.mean)
        wrapped.seed(0)
        first = wrapped.reset()
        assert np.abs(first).max() < 5
        _, rewards, _, _ = wrapped.step(np.zeros((1, 1)))
        assert rewards == [7.0]
        assert np.array_equal(wrapped.obs_rms.mean, model.env.obs_rms.mean), "evaluation does not count"


def test_without_normalisation_nothing_is_saved(tmp_path: Path) -> None:
    save_statistics(trained(Normalization()), tmp_path / "statistics.pkl")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_damage_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "vecnormalize.pkl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"vecnormalize\.pkl"):
        with_statistics(env(), path)


def test_statistics_of_other_observations_are_refused(tmp_path: Path) -> None:
    save_statistics(trained(Normalization(True)), tmp_path / "statistics.pkl")
    with pytest.raises(CheckpointError, match="for these observations"):
        with_statistics(env(3), tmp_path / "statistics.pkl")
