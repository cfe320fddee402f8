"""HalfCheetah that is to run at a given speed."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from numpy.typing import NDArray


class HalfCheetahVelocity(HalfCheetahEnv):
    """Gymnasium's ``HalfCheetah-v5`` with the reward ``-|v - goal| - 0.5 · 0.1 Σ a²``.

    Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017, section 5.3;
    official code github.com/cbfinn/maml_rl. ``v`` is the forward velocity in m/s; the goal is not in the observation.

    Args:
        goal: velocity in m/s.
        kwargs: of ``HalfCheetah-v5``.
    """

    def __init__(self, goal: float = 1.0, **kwargs: Any) -> None:
        self.goal = goal
        super().__init__(**kwargs)

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = super().step(action)
        reward_goal = -abs(info["x_velocity"] - self.goal)
        reward = reward_goal + 0.5 * info["reward_ctrl"]
        return observation, float(reward), terminated, truncated, {**info, "reward_goal": reward_goal}
