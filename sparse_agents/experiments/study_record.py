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
from sparse_agents.runs import atomic_file

COLUMNS = ("agent", "env", "seed", "settings", "timesteps", "return")


class Key(NamedTuple):
    """One run of a study."""

    agent: str
    env: str
    seed: int


class StudyRecord:
    """A CSV file with a line for each evaluation of each run.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs: dict[Key, tuple[str, History]] = {}
        if path.is_file():
            self._read()

    def find(self, key: Key, settings: Mapping[str, Any], steps: int) -> History | None:
        """A run of so many steps at least.

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
        return history if len(history.timesteps) and history.timesteps[-1] >= steps else None

    def add(self, key: Key, settings: Mapping[str, Any], history: History) -> None:
        """Instead of what was known of the run."""
        self._runs[key] = _digest(settings), history

    def write(self) -> None:
        """In the order of names, so that a new run changes nothing but its own lines."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path) as draft, draft.open("w", newline="") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(COLUMNS)
            for key, (digest, history) in sorted(self._runs.items()):
                for steps, value in zip(history.timesteps, history.returns, strict=True):
                    lines.writerow((*key, digest, int(steps), f"{value:.2f}"))

    def _read(self) -> None:
        rows: dict[Key, list[tuple[str, int, float]]] = {}
        with self.path.open(newline="") as file:
            try:
                for line in csv.DictReader(file):
                    key = Key(line["agent"], line["env"], int(line["seed"]))
                    row = line["settings"], int(line["timesteps"]), float(line["return"])
                    rows.setdefault(key, []).append(row)
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(f"{self.path} is not a study's record: {error!r}.") from error
        for key, lines in rows.items():
            digests, steps, values = zip(*lines, strict=True)
            self._runs[key] = digests[0], History(str(self.path), np.array(steps), np.array(values))


def _digest(settings: Mapping[str, Any]) -> str:
    """The same for equal settings, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
