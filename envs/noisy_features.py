"""Observations with features that mean nothing."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray


class NoisyFeatures(gym.ObservationWrapper[NDArray[np.float64], Any, NDArray[np.float64]], RecordConstructorArgs):
    """Adds features that are drawn anew from N(0, 1) at every step.

    Grooten, Sokar, Dohare, Mocanu, Taylor, Pechenizkiy, Mocanu, "Automatic Noise Filtering with Dynamic Sparse Training
    in Deep Reinforcement Learning", AAMAS 2023, section 3; official code
    github.com/bramgrooten/automatic-noise-filtering. Of ``d`` features of the environment and a noise fraction ``n``
    there are ``⌈d / (1 - n)⌉`` in all, the environment's first.

    Args:
        env: with flat observations.
        fraction: of the features that are noise, in [0, 1).
        permutation: seed of another order of all features; None for none.
    """

    def __init__(self, env: gym.Env[Any, Any], fraction: float = 0.9, permutation: int | None = None) -> None:
        RecordConstructorArgs.__init__(self, fraction=fraction, permutation=permutation)
        gym.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"NoisyFeatures needs flat observations, not {space}.")
        if not 0 <= fraction < 1:
            raise ValueError(f"fraction={fraction} is not in [0, 1).")
        features = space.shape[0]
        # Rounded first, so that 17 features at 90% are 170, whatever floating-point division makes of it.
        self._noise = math.ceil(round(features / (1 - fraction), 9)) - features
        total = features + self._noise
        order = np.arange(total) if permutation is None else np.random.default_rng(permutation).permutation(total)
        self._order = order
        unbounded = np.full(self._noise, np.inf)
        self.observation_space = spaces.Box(
            np.concatenate([space.low, -unbounded])[order],
            np.concatenate([space.high, unbounded])[order],
            dtype=np.float64,
        )

    def observation(self, observation: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = self.np_random.standard_normal(self._noise)
        return np.concatenate([observation, noise])[self._order]
