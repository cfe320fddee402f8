"""What the commands have in common."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import tyro
from stable_baselines3.common.base_class import BaseAlgorithm
from tyro.conf import arg

from sparse_agents.algorithms import DSSAC, DSTD3
from sparse_agents.cli import COMMANDS
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.policies import ALIASES, keywords

_ZOO_NAMES = {"RecurrentPPO": "ppo_lstm", "MaskablePPO": "ppo_mask"}
ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "ds_td3": DSTD3,
    "ds_sac": DSSAC,
    **{_ZOO_NAMES.get(kind.__name__, kind.__name__.lower()): kind for kind in ALIASES},
}
"""By rl-zoo3's names."""

OWN_FLAGS = ("policy", "env", "seed", "device", "verbose")
"""Settings of algorithms that are no hyperparameters."""

Arguments = TypeVar("Arguments")


def _left_out(metavar: str) -> Any:
    """For an option whose comment, which is the help, says what holds where it is not given."""
    return arg(metavar=metavar, help_behavior_hint="(default: not given)")


OptionalInt = Annotated[int | None, _left_out("INT")]
OptionalInts = Annotated[tuple[int, ...] | None, _left_out("INT [INT ...]")]
OptionalFloat = Annotated[float | None, _left_out("FLOAT")]
OptionalStr = Annotated[str | None, _left_out("STR")]
OptionalPath = Annotated[Path | None, _left_out("PATH")]


def import_packages(names: Sequence[str]) -> None:
    """Import modules for what they register, also from the working directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except (ImportError, SyntaxError) as error:
            raise ConfigurationError(
                f"--gym-packages {name}: {error}. Is it installed, on PYTHONPATH, or in the working directory?"
            ) from error


def parse(arguments: type[Arguments], prog: str, argv: Sequence[str], default: Arguments | None = None) -> Arguments:
    """A dataclass from the command line; its field comments are the help. Exits with 2 on bad flags.

    ``default``: what holds where a flag is not given, in place of the fields' defaults.
    """
    name = f"sparse-agents {prog}" if prog in COMMANDS else prog
    given: dict[str, Any] = {} if default is None else {"default": default}
    parsed: Arguments = tyro.cli(arguments, prog=name, args=list(argv), description=arguments.__doc__, **given)
    return parsed


def algorithm(name: str) -> type[BaseAlgorithm]:
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ConfigurationError(f"--seed {seed} is not in 0..2**32 - 1.")


def check_hyperparameters(name: str, given: Mapping[str, Any]) -> None:
    """That an algorithm takes these, as far as its signature says: names, and numbers where they are words.

    Raises:
        ConfigurationError: naming the first that it does not take.
    """
    takes = keywords(algorithm(name))
    for word, value in given.items():
        if word not in takes:
            raise unknown(f"setting of {name}", word, [one for one in takes if one not in OWN_FLAGS])
        if isinstance(takes[word], int | float) and isinstance(value, str):
            raise ConfigurationError(f"--hyperparams {word}:{value} is not a number, such as {takes[word]}.")
    if isinstance(given.get("batch_size"), int) and given["batch_size"] < 1:
        raise ConfigurationError(f"--hyperparams batch_size:{given['batch_size']}: at least 1.")


def set_threads(count: int) -> None:
    if count == 0 or count < -1:
        raise ConfigurationError(f"--num-threads {count}: give at least 1, or -1 for torch's default.")
    if count > 0:
        torch.set_num_threads(count)
