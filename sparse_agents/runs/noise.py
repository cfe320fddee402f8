"""Noise on actions by name, as in rl-zoo's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise

from sparse_agents.errors import ConfigurationError, unknown

NOISES: Mapping[str, type[NormalActionNoise] | type[OrnsteinUhlenbeckActionNoise]] = {
    "normal": NormalActionNoise,
    "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise,
}


def with_action_noise(settings: Mapping[str, Any], space: spaces.Space[Any]) -> dict[str, Any]:
    """An algorithm's settings with an ``action_noise`` in place of ``noise_type`` and ``noise_std``.

    Args:
        settings: keyword arguments of the algorithm and, perhaps, these two.
        space: of actions.

    Raises:
        ConfigurationError: for a noise there is none of.
    """
    rest = {name: value for name, value in settings.items() if name not in ("noise_type", "noise_std")}
    if len(rest) == len(settings):
        return rest
    return {**rest, "action_noise": _noise(settings.get("noise_type"), settings.get("noise_std"), space)}


def _noise(kind: Any, deviation: Any, space: spaces.Space[Any]) -> ActionNoise:
    if kind is None:
        raise ConfigurationError(f"noise_std={deviation!r} needs a noise_type: {' or '.join(NOISES)}.")
    if kind not in NOISES:
        raise unknown("noise_type", str(kind), NOISES)
    if isinstance(deviation, bool) or not isinstance(deviation, int | float) or deviation < 0:
        raise ConfigurationError(f"noise_std={deviation!r}: the standard deviation of noise_type={kind!r}, at least 0.")
    if not isinstance(space, spaces.Box):
        raise ConfigurationError(f"noise_type={kind!r} is for continuous actions, and these are {space}.")
    return NOISES[kind](np.zeros(space.shape), np.full(space.shape, float(deviation)))
