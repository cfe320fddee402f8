"""Gymnasium environments and task variants. Import as ``sparse_agents.envs``, which registers them; ``import
sparse_agents`` does that.
"""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium as gym
from sparse_agents.envs import tasks
from sparse_agents.envs.tasks import SEQUENCES

__all__ = ["SEQUENCES"]


def _register(variants: Mapping[str, Mapping[str, object]], entry_point: str, steps: int) -> None:
    """Arguments of an environment by the ids of its variants."""
    for name, arguments in variants.items():
        gym.register(name, entry_point=entry_point, kwargs=dict(arguments), max_episode_steps=steps)


_register(
    {tasks.pendulum(gravity): {"g": gravity} for gravity in tasks.GRAVITIES},
    "gymnasium.envs.classic_control.pendulum:PendulumEnv",
    200,
)
_register(
    {tasks.cheetah(name): variant for name, variant in tasks.VARIANTS.items()},
    "sparse_agents.envs.half_cheetah:HalfCheetahVariant",
    1000,
)
_register(
    {tasks.velocity(goal): {"goal": goal} for goal in tasks.VELOCITIES},
    "sparse_agents.envs.goal_velocity:HalfCheetahVelocity",
    1000,
)
_register(
    {tasks.ant(friction): {"friction": friction} for friction in tasks.FRICTIONS},
    "sparse_agents.envs.slippery_ant:SlipperyAnt",
    1000,
)
_register(
    {tasks.minatar(game): {"game": game} for game in tasks.GAMES},
    "sparse_agents.envs.minatar:MinAtar",
    5000,
)
_register(
    {tasks.meta_world(task): {"task": task} for task in tasks.CONTINUAL_WORLD},
    "sparse_agents.envs.meta_world:MetaWorld",
    200,
)
