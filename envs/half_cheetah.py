"""HalfCheetah with another body, in another world, or with defects."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from numpy.typing import NDArray


class HalfCheetahVariant(HalfCheetahEnv):
    """Gymnasium's ``HalfCheetah-v5`` with a few things multiplied.

    Gaya, Doan, Caccia, Soulier, Denoyer, Raileanu, "Building a Subspace of Policies for Scalable Continual Learning",
    ICLR 2023, appendix; official code github.com/facebookresearch/salina, branch ``salina_cl``, on Brax. Their factors,
    on MuJoCo's model; returns are not comparable with theirs. Observations ``[17]``, actions ``[6]`` in -1..1 and the
    reward are those of ``HalfCheetah-v5``.

    Args:
        parts: factors of the mass, the inertia and the radius of bodies whose name contains a word: ``"torso"``,
            ``"thigh"``, ``"shin"``, ``"foot"``.
        gravity: factor of it.
        friction: factor of that of all surfaces.
        hidden: the part of the observation that is always 0; which one, is drawn once and for all.
        action_signs: factors of the actions.
        kwargs: of ``HalfCheetah-v5``.
    """

    def __init__(
        self,
        parts: Mapping[str, float] = MappingProxyType({}),
        gravity: float = 1.0,
        friction: float = 1.0,
        hidden: float = 0.0,
        action_signs: tuple[float, ...] = (1, 1, 1, 1, 1, 1),
        **kwargs: Any,
    ) -> None:
        self._seen: NDArray[np.float64] | None = None
        super().__init__(**kwargs)
        model = self.model
        for index in range(model.nbody):
            for part, factor in parts.items():
                if part in model.body(index).name:
                    model.body_mass[index] *= factor
                    model.body_inertia[index] *= factor
                    model.geom_size[model.body_geomadr[index], 0] *= factor
        model.opt.gravity[2] *= gravity
        model.geom_friction[:] *= friction
        mujoco.mj_setConst(model, self.data)
        size = self.observation_space.shape[0]
        seen = np.array([0.0] * int(hidden * size) + [1.0] * (size - int(hidden * size)))
        self._seen = np.random.RandomState(0).permutation(seen)
        self._signs = np.asarray(action_signs, dtype=np.float32)

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        return super().step(action * self._signs)  # type: ignore[no-any-return]

    def _get_obs(self) -> NDArray[np.float64]:
        observation: NDArray[np.float64] = super()._get_obs()
        return observation if self._seen is None else observation * self._seen
