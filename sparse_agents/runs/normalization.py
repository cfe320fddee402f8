"""Observations and rewards scaled by running statistics: Stable-Baselines3's ``VecNormalize``, set as in rl-zoo."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, sync_envs_normalization

from sparse_agents.errors import CheckpointError, ConfigurationError, unknown
from sparse_agents.runs.disk import atomic_file

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(VecNormalize).parameters.items()
    if name not in ("venv", "training")
}
"""Of the options."""


@dataclass(frozen=True)
class Normalization:
    """Whether and how a run normalises.

    Attributes:
        wanted: whether.
        options: of ``VecNormalize``.
    """

    wanted: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Normalization:
        """Of an algorithm's settings: ``normalize`` is a bool or a dictionary of options, ``gamma`` goes into them.

        Raises:
            ConfigurationError: where it is something else.
        """
        value = settings.get("normalize", False)
        options = {"gamma": settings["gamma"]} if "gamma" in settings else {}
        if isinstance(value, bool):
            return cls(value, options)
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"normalize={value!r}: True, False, or options such as {{'norm_reward': False}}.")
        options = {**options, **value}
        for name, option in options.items():
            _check(name, option)
        return cls(True, options)

    def training(self, env: VecEnv) -> VecEnv:
        """What an agent trains in, which goes on counting.

        Raises:
            ConfigurationError: for observations that cannot be normalised, such as images.
        """
        if not self.wanted:
            return env
        try:
            return VecNormalize(env, **self.options)
        except (AssertionError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"normalize: these environments cannot be normalised so: {error}") from error

    def evaluation(self, env: VecEnv, model: BaseAlgorithm | None = None) -> VecEnv:
        """What an agent is evaluated in: true rewards, the training's statistics, those of ``model`` at once."""
        if not self.wanted:
            return env
        wrapped = VecNormalize(env, **{**self.options, "training": False, "norm_reward": False})
        if model is not None:
            assert model.env is not None
            sync_envs_normalization(model.env, wrapped)
        return wrapped


def _check(name: str, value: Any) -> None:
    """An option has the kind of value that its default is."""
    if name not in DEFAULTS:
        raise unknown("option in normalize", name, DEFAULTS)
    if isinstance(DEFAULTS[name], bool):
        good, kind = isinstance(value, bool), "True or False"
    elif name == "gamma":
        good, kind = _is_number(value) and 0 <= value <= 1, "a number from 0 to 1"
    elif isinstance(DEFAULTS[name], float):
        good, kind = _is_number(value) and value > 0, "a number above 0"
    else:
        good = value is None or (isinstance(value, list | tuple) and all(isinstance(key, str) for key in value))
        kind = "a list of names"
    if not good:
        raise ConfigurationError(f"normalize: {name}={value!r} is not {kind}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def save_statistics(model: BaseAlgorithm, path: Path) -> None:
    """Those of the environment it trains in, where there are any."""
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        with atomic_file(path) as draft:
            normalize.save(str(draft))


def with_statistics(env: VecEnv, path: Path) -> VecEnv:
    """What to evaluate an agent in that was trained with the statistics in a file.

    Raises:
        CheckpointError: where it is not one of ``VecNormalize``'s, or of other observations.
    """
    try:
        wrapped = VecNormalize.load(str(path), env)
    except (
        OSError,
        EOFError,
        pickle.UnpicklingError,
        AttributeError,
        ImportError,
        AssertionError,
        ValueError,
    ) as error:
        raise CheckpointError(
            f"{path} does not hold statistics of VecNormalize for these observations: {error}."
        ) from error
    wrapped.training = wrapped.norm_reward = False
    return wrapped


class SaveStatistics(BaseCallback):
    """Saves the statistics of the moment, for instance whenever there is a new best agent."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _on_step(self) -> bool:
        save_statistics(self.model, self._path)
        return True
