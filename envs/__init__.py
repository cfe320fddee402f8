"""Gymnasium environments and task variants. Import as ``sparse_agents.envs``, which registers them; ``import
sparse_agents`` does that.
"""

from __future__ import annotations

import gymnasium as gym
from sparse_agents.envs import tasks
from sparse_agents.envs.tasks import SEQUENCES

__all__ = ["SEQUENCES"]

for _gravity in tasks.GRAVITIES:
    gym.register(
        tasks.pendulum(_gravity),
        entry_point="gymnasium.envs.classic_control.pendulum:PendulumEnv",
        kwargs={"g": _gravity},
        max_episode_steps=200,
    )
for _name, _variant in tasks.VARIANTS.items():
    gym.register(
        tasks.cheetah(_name),
        entry_point="sparse_agents.envs.half_cheetah:HalfCheetahVariant",
        kwargs=dict(_variant),
        max_episode_steps=1000,
    )
for _goal in tasks.VELOCITIES:
    gym.register(
        tasks.velocity(_goal),
        entry_point="sparse_agents.envs.goal_velocity:HalfCheetahVelocity",
        kwargs={"goal": _goal},
        max_episode_steps=1000,
    )
for _friction in tasks.FRICTIONS:
    gym.register(
        tasks.ant(_friction),
        entry_point="sparse_agents.envs.slippery_ant:SlipperyAnt",
        kwargs={"friction": _friction},
        max_episode_steps=1000,
    )
