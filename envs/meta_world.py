"""Meta-World's tasks as Continual World takes them."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle
from numpy.typing import NDArray

OBSERVATION = 39


class MetaWorld(gym.Env[NDArray[np.float64], NDArray[np.float32]], EzPickle):
    """A robot's arm does a thing on a table: one of Meta-World's fifty tasks, with one space for all.

    Yu et al., "Meta-World: A Benchmark and Evaluation for Multi-Task and Meta Reinforcement Learning", CoRL 2019,
    version 3 of its package; the settings are those of Wołczyk et al., "Continual World", NeurIPS 2021, section 4:
    object and goal are somewhere else in every episode, and an episode has 200 steps, whether or not the task is done
    earlier. Continual World's published scores are of version 1, whose observations and rewards are others: not to be
    compared.

    Observations are ``[39]``: the hand's position, how far it is open, position and orientation of two objects (0 where
    there is one), all that of the step before, and the goal. Actions are ``[4]``: where the hand goes, and its grip.
    Rewards are Meta-World's, 0 to 10 a step. ``info["is_success"]``: whether the task has been done in this episode.

    Args:
        task: its name without the version, as in ``"hammer"``.
        render_mode: of Meta-World.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human", "rgb_array", "depth_array"], "render_fps": 80}

    def __init__(self, task: str, render_mode: str | None = None) -> None:
        EzPickle.__init__(self, task, render_mode)
        try:
            from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        except ImportError as error:
            raise gym.error.DependencyNotInstalled(
                'pip install -c constraints-metaworld.txt "sparse-agents[metaworld]", in an environment of its own: '
                "Meta-World needs an older MuJoCo."
            ) from error
        self.render_mode = render_mode
        self._task = ALL_V3_ENVIRONMENTS[f"{task}-v3"](render_mode=render_mode)
        # What Meta-World's own benchmarks set from outside: a new place in every episode, and the goal to be seen.
        self._task._freeze_rand_vec, self._task.seeded_rand_vec = False, True
        self._task._partially_observable, self._task._set_task_called = False, True
        self.observation_space = spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float64)
        self.action_space = self._task.action_space
        self._done = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        self._task.np_random = self.np_random
        self._done = False
        observation, info = self._task.reset()
        return np.asarray(observation, np.float64), info

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        observation, reward, _, _, info = self._task.step(action)
        self._done = self._done or bool(info["success"])
        return np.asarray(observation, np.float64), float(reward), False, False, {**info, "is_success": self._done}

    def render(self) -> Any:
        return self._task.render()

    def close(self) -> None:
        self._task.close()
