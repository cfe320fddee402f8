"""Meta-World's tasks: our side against a stand-in for the package, the rest where it is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from sparse_agents.envs.tasks import CONTINUAL_WORLD, SEQUENCES, meta_world

NEEDS_PACKAGE = pytest.mark.skipif(find_spec("metaworld") is None, reason="Meta-World wants an environment of its own")


class Task(gym.Env):
    """Behaves as Meta-World's do: unusable unless it is set up, and random by ``np_random``."""

    _freeze_rand_vec, seeded_rand_vec, _partially_observable, _set_task_called = True, False, True, False
    observation_space = gym.spaces.Box(-1, 1, (39,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (4,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        assert self._set_task_called
        assert self.seeded_rand_vec
        assert not self._freeze_rand_vec
        assert not self._partially_observable
        self.steps = 0
        return self.np_random.uniform(size=39), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.full(39, action[0]), np.float64(3), False, False, {"success": float(self.steps == 3)}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package, tasks = ModuleType("metaworld"), ModuleType("metaworld.env_dict")
    tasks.ALL_V3_ENVIRONMENTS = {f"{task}-v3": Task for task in CONTINUAL_WORLD}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "metaworld", package)
    monkeypatch.setitem(sys.modules, "metaworld.env_dict", tasks)


def test_the_order_of_continual_world() -> None:
    assert SEQUENCES["cw10"][0] == "sparse_agents/MetaWorld-hammer-v0"
    assert SEQUENCES["cw10"][-1] == "sparse_agents/MetaWorld-peg-unplug-side-v0"
    assert len(set(SEQUENCES["cw10"])) == 10
    assert SEQUENCES["cw20"] == SEQUENCES["cw10"] * 2


@pytest.mark.filterwarnings("ignore::UserWarning")  # on observations without bounds
def test_gymnasium_finds_nothing_wrong_on_our_side(stand_in: None) -> None:
    check_env(gym.make(meta_world("hammer")).unwrapped, skip_render_check=True)


def test_every_episode_begins_elsewhere_and_a_seed_repeats_it(stand_in: None) -> None:
    env = gym.make(meta_world("push"))
    first, second = env.reset(seed=4)[0], env.reset()[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(env.reset(seed=4)[0], first)
    assert np.array_equal(env.reset()[0], second)


def test_success_stays_till_the_end_of_an_episode_of_200_steps(stand_in: None) -> None:
    env = gym.make(meta_world("push"))
    for _ in range(2):
        env.reset(seed=0)
        told, over = [], False
        while not over:
            _, reward, terminated, over, info = env.step(np.zeros(4, np.float32))
            told.append(info["is_success"])
            assert (reward, terminated) == (3.0, False)
        assert told == [False] * 2 + [True] * 198


def test_without_the_package_a_task_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "metaworld.env_dict", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"constraints-metaworld\.txt"):
        gym.make(meta_world("hammer"))


@NEEDS_PACKAGE
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("env_id", SEQUENCES["cw10"])
def test_gymnasium_finds_nothing_wrong_with_the_package(env_id: str) -> None:
    env = gym.make(env_id)
    check_env(env.unwrapped, skip_render_check=True)
    assert not np.array_equal(env.reset(seed=1)[0][-3:], np.zeros(3))  # the goal is seen
