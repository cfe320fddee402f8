"""What was measured along a sequence, as a table on disk, and matrices and curves out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sparse_agents.continual.curves import TaskCurves
from sparse_agents.continual.metrics import Scores
from sparse_agents.errors import CheckpointError
from sparse_agents.runs import atomic_file

BETWEEN = -1
"""Stands for no task, where none is in training."""


@dataclass(frozen=True)
class Evaluation:
    """One score.

    Attributes:
        step: of the whole sequence.
        learned: tasks that are done.
        training: the task in training, from 0; -1 between tasks.
        task: the one evaluated, from 0.
        identity: ``"known"``: the agent was told which task it is; ``"unknown"``.
        score: accuracy, or mean return.
    """

    step: int
    learned: int
    training: int
    task: int
    identity: str
    score: float


@dataclass(frozen=True)
class LayerUse:
    """What of a layer is taken, between tasks.

    Attributes:
        step: of the whole sequence.
        learned: tasks that are done.
        layer: its name.
        possible, free, frozen, shared: connections, as :class:`~sparse_agents.continual.capacity.LayerCapacity` has
            them.
    """

    step: int
    learned: int
    layer: str
    possible: int
    free: int
    frozen: int
    shared: int


class Records:
    """A table of a run, in a CSV that is added to.

    Args:
        path: of the file, which is made or gone on with.
        kind: the dataclass whose instances are rows.
        rows: that it is to have already; those beyond were written after the checkpoint a run resumes from, and go.
    """

    def __init__(self, path: Path, kind: type, rows: int = 0) -> None:
        self.path = path
        header = ",".join(f.name for f in fields(kind)) + "\n"
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else [header]
        if lines[:1] != [header] or len(lines) <= rows:
            raise CheckpointError(f"{path} does not have the {rows} rows that the checkpoint knows of.")
        with atomic_file(path) as draft:
            draft.write_text("".join(lines[: rows + 1]))
        self.rows = rows

    def add(self, rows: Sequence[Any]) -> None:
        with self.path.open("a") as file:
            file.writelines(",".join(map(str, astuple(one))) + "\n" for one in rows)
        self.rows += len(rows)


def read_records(path: Path, kind: type = Evaluation) -> pd.DataFrame:
    """All rows, a column for each attribute of ``kind``.

    Raises:
        CheckpointError: where the file is missing or damaged.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    missing = {f.name for f in fields(kind)} - set(table.columns)
    if missing:
        raise CheckpointError(f"{path} lacks the column {sorted(missing)[0]!r}.")
    return table


def score_matrix(table: pd.DataFrame, identity: str) -> Scores:
    """``[T + 1, T]``, NaN where nothing was evaluated yet."""
    tasks = int(table["task"].max()) + 1
    matrix = np.full((tasks + 1, tasks), np.nan)
    between = table[(table["training"] == BETWEEN) & (table["identity"] == identity)]
    matrix[between["learned"], between["task"]] = between["score"]
    return matrix


def task_curves(table: pd.DataFrame, identity: str) -> TaskCurves:
    """Evaluations while tasks were trained."""
    during = table[(table["training"] != BETWEEN) & (table["identity"] == identity)]
    by_step = during.pivot(index=["training", "step"], columns="task", values="score").sort_index(level="step")
    return TaskCurves(by_step.to_numpy(), by_step.index.get_level_values("training").to_numpy())
