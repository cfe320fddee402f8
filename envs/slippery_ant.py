"""Ant on ground of another friction."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.mujoco.ant_v5 import AntEnv


class SlipperyAnt(AntEnv):
    """Gymnasium's ``Ant-v5`` with the friction of all surfaces multiplied.

    After Dohare, Hernandez-Garcia, Lan, Rahman, Mahmood, Sutton, "Loss of plasticity in deep continual learning",
    Nature 2024, where the friction between ant and ground changes every two million steps, to a value that is drawn
    log-uniformly from 0.02..2 (PyBullet's). Observations, actions and rewards are those of ``Ant-v5``.

    Args:
        friction: factor.
        kwargs: of ``Ant-v5``.
    """

    def __init__(self, friction: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model.geom_friction[:] *= friction
