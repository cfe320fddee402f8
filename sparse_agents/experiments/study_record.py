"""The evaluations of a study's finished runs in one table: small enough to be kept where run folders are not."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sparse_agents.errors import CheckpointError
from sparse_agents.experiments.learning_curves import History
from sparse_agents.runs import alone_in, atomic_file

COLUMNS = ("agent", "env", "steps", "seed", "settings", "timesteps", "return")


class Key(NamedTuple):
    """One run of a study: of so many environment steps, as much of what a run does, schedules for one, depends on how
    long it is.
    """

    agent: str
    env: str
    steps: int
    seed: int


class _Run(NamedTuple):
    digest: str
    """Of its settings."""
    history: History


class StudyRecord:
    """A CSV file with a line for each evaluation of each run.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs = _read(path)
        self._added: dict[Key, _Run] = {}

    def find(self, key: Key, settings: Mapping[str, Any]) -> History | None:
        """What is known of a run.

        Raises:
            CheckpointError: where it was made with other settings.
        """
        if key not in self._runs:
            return None
        digest, history = self._runs[key]
        if digest != _digest(settings):
            raise CheckpointError(
                f"{self.path} has runs of {key.agent!r} with other settings than it has now. Give the agent another "
                "name, or remove its lines."
            )
        return history

    def add(self, key: Key, settings: Mapping[str, Any], history: History) -> None:
        """Instead of what was known of the run."""
        self._runs[key] = self._added[key] = _Run(_digest(settings), history)

    def write(self) -> None:
        """In the order of names, so that a new run changes nothing but its own lines; what another process has written
        meanwhile stays.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with alone_in(self.path.parent):
            self._runs = {**_read(self.path), **self._added}
            self._write()

    def _write(self) -> None:
        with atomic_file(self.path) as draft, draft.open("w", newline="") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(COLUMNS)
            for key, (digest, history) in sorted(self._runs.items()):
                for steps, value in zip(history.timesteps, history.returns, strict=True):
                    lines.writerow((*key, digest, int(steps), f"{value:.2f}"))


def _read(path: Path) -> dict[Key, _Run]:
    """Nothing where there is no file."""
    if not path.is_file():
        return {}
    rows: dict[Key, list[tuple[str, int, float]]] = {}
    with path.open(newline="") as file:
        try:
            for line in csv.DictReader(file):
                key = Key(line["agent"], line["env"], int(line["steps"]), int(line["seed"]))
                row = line["settings"], int(line["timesteps"]), float(line["return"])
                rows.setdefault(key, []).append(row)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is not a study's record: {error!r}.") from error
    runs = {}
    for key, lines in rows.items():
        digests, steps, values = zip(*lines, strict=True)
        runs[key] = _Run(digests[0], History(str(path), np.array(steps), np.array(values)))
    return runs


def _digest(settings: Mapping[str, Any]) -> str:
    """The same for equal settings, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
