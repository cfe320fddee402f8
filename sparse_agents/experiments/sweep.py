"""A sweep, declared in a file: settings of the train command, and every combination of some."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_agents.errors import CheckpointError, ConfigurationError, unknown
from sparse_agents.experiments.commands import TrainCommand
from sparse_agents.runs import atomic_file, output_folder, read_yaml

KEYS = ("logs", "base", "grid")
NESTED = ("hyperparams", "topology_kwargs")
"""Flags that take several name:value."""
LONGEST_NAME = 120


@dataclass(frozen=True)
class Sweep:
    """All of it.

    Attributes:
        logs: where run folders go.
        base: flags of the train command by name, the same for all runs.
        grid: values by flag, or by a setting within one, such as ``hyperparams.policy_kwargs.net_arch``.
    """

    logs: Path
    base: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]

    @classmethod
    def read(cls, path: Path, flags: Sequence[str]) -> Sweep:
        """From YAML.

        Args:
            path: of the file.
            flags: that may be set.

        Raises:
            ConfigurationError: where it says something that is not understood.
        """
        content = read_yaml(path)
        if not isinstance(content, Mapping) or not {"logs", "grid"} <= content.keys():
            raise ConfigurationError(
                f"{path} is not a sweep: it has a mapping with logs and grid, and base if need be."
            )
        for key in content:
            if key not in KEYS:
                raise unknown("key of a sweep", str(key), KEYS)
        base, grid = content.get("base") or {}, content["grid"]
        if not isinstance(base, Mapping) or not isinstance(grid, Mapping) or not grid:
            raise ConfigurationError(f"{path}: base and grid are mappings from flags to values, and lists of them.")
        for name in (*base, *grid):
            _check_flag(str(name), flags)
        for name, values in grid.items():
            if not isinstance(values, list) or not values:
                raise ConfigurationError(f"{path}: grid.{name} is not a list of values.")
        for name in NESTED:
            if not isinstance(base.get(name, {}), Mapping):
                raise ConfigurationError(f"{path}: base.{name} is not a mapping from names to values.")
        return cls(Path(content["logs"]), base, grid)

    def commands(self, default_steps: int) -> Iterator[TrainCommand]:
        """A run for every combination, the last key changing fastest but for seeds, which change slowest of all.

        Raises:
            ConfigurationError: where two combinations are the same run.
        """
        seen: dict[Path, str] = {}
        for command in self._combinations(default_steps):
            if command.folder in seen:
                raise ConfigurationError(
                    f"The sweep has two runs for {command.folder}, {seen[command.folder]!r} and {command.title!r}: "
                    "leave one out of the grid."
                )
            seen[command.folder] = command.title
            yield command

    def _combinations(self, default_steps: int) -> Iterator[TrainCommand]:
        names = sorted(self.grid, key=lambda name: name != "seed")
        for values in itertools.product(*(self.grid[name] for name in names)):
            point = dict(zip(names, values, strict=True))
            settings = self._settings(point)
            title = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in point.items())
            folder = self.logs / _folder_name({k: v for k, v in point.items() if k != "seed"})
            folder /= f"seed_{settings.get('seed', 0)}"
            steps = settings.get("n_timesteps", default_steps)
            if not isinstance(steps, int):
                raise ConfigurationError(f"n_timesteps: {steps!r} is not a number of environment steps.")
            yield TrainCommand(title, _arguments(settings), folder, steps)

    def _settings(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The base with one combination over it."""
        settings: dict[str, Any] = json.loads(json.dumps(self.base))
        for name, value in point.items():
            *parents, last = name.split(".")
            place = settings
            for parent in parents:
                place = place.setdefault(parent, {})
                if not isinstance(place, dict):
                    raise ConfigurationError(f"grid.{name}: {parent} has a value in base, and is no mapping.")
            place[last] = value
        return settings


def claim(commands: Sequence[TrainCommand]) -> None:
    """Note in each run's folder what it is.

    Raises:
        CheckpointError: where a folder has a run of other settings.
        ConfigurationError: where nothing can be written.
    """
    for command in commands:
        output_folder(command.folder, "logs")
        path, text = command.folder / "sweep.json", json.dumps(_what_it_is(command))
        if path.is_file() and path.read_text() != text:
            raise CheckpointError(
                f"{command.folder} has a run of other settings than the sweep gives it now. Name other logs, or remove "
                "it."
            )
        with atomic_file(path) as draft:
            draft.write_text(text)


def _what_it_is(command: TrainCommand) -> list[str]:
    """Its arguments but for its length: a run may be prolonged."""
    steps = command.arguments.index("-n") if "-n" in command.arguments else len(command.arguments)
    return [*command.arguments[:steps], *command.arguments[steps + 2 :]]


def _check_flag(name: str, flags: Sequence[str]) -> None:
    root, _, rest = name.partition(".")
    if root not in flags:
        raise unknown("flag of the train command", root, flags)
    if rest and root not in NESTED:
        raise ConfigurationError(f"{name}: only {' and '.join(NESTED)} have settings within.")


def _arguments(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """As a command line; the number of steps comes by its short name, as resumed runs are given it."""
    found: list[str] = []
    for name, value in settings.items():
        flag = "-n" if name == "n_timesteps" else f"--{name.replace('_', '-')}"
        if name in NESTED:
            found += [flag, *(f"{key}:{one!r}" for key, one in value.items())] if value else []
        elif isinstance(value, bool):
            found.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            found += [flag, *map(str, value)]
        else:
            found += [flag, str(value)]
    return tuple(found)


def _folder_name(point: Mapping[str, Any]) -> str:
    """What is different in these runs, fit for a folder; with a hash in place of what is too long."""
    text = ",".join(f"{name.rpartition('.')[2]}={value}" for name, value in point.items()) or "runs"
    name = re.sub(r"[^\w.=,+-]+", "_", text).strip("_")
    if len(name) <= LONGEST_NAME and name == text:
        return name
    digest = hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()[:8]
    return f"{name[:LONGEST_NAME]}-{digest}"
