"""Runs of methods over one sequence of tasks, and what they come to over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from sparse_agents.continual.curves import LAST, TaskCurves, normalized
from sparse_agents.continual.metrics import METRICS, Scores, intransigence
from sparse_agents.continual.records import LayerUse, read_records, score_matrix, task_curves
from sparse_agents.errors import ConfigurationError


@dataclass(frozen=True)
class SequenceResult:
    """One run, from its first task to its last.

    Attributes:
        evaluations: as :func:`read_records` has them.
        capacity: rows of :class:`LayerUse`.
    """

    evaluations: pd.DataFrame
    capacity: pd.DataFrame

    @cached_property
    def identities(self) -> list[str]:
        return list(self.evaluations["identity"].unique())

    def matrix(self, identity: str) -> Scores:
        return score_matrix(self.evaluations, identity)

    def curves(self, identity: str) -> TaskCurves:
        return task_curves(self.evaluations, identity)


BySeed = Mapping[int, SequenceResult]
ByMethod = Mapping[str, BySeed]


def read_sequence(folder: Path) -> tuple[ByMethod, list[Path]]:
    """Runs in ``folder/METHOD/seed_SEED`` that are done, and the folders of those that are not.

    Raises:
        ConfigurationError: where there are none.
    """
    found: dict[str, dict[int, SequenceResult]] = {}
    unfinished = []
    for path in sorted(folder.glob("*/seed_*/evaluations.csv")):
        result = SequenceResult(read_records(path), read_records(path.parent / "capacity.csv", LayerUse))
        if np.isnan(result.matrix(result.identities[0])[-1]).any():
            unfinished.append(path.parent)
        else:
            found.setdefault(path.parts[-3], {})[int(path.parent.name.removeprefix("seed_"))] = result
    if not found:
        raise ConfigurationError(f"{folder} has no finished run in METHOD/seed_SEED.")
    return found, unfinished


def beside(runs: ByMethod, name: str, seed: int) -> dict[str, SequenceResult]:
    """Those of one seed, and of the algorithm that ``ALGO-METHOD`` begins with, by method alone."""
    algorithm = name.rpartition("-")[0]
    return {
        other.rpartition("-")[2]: by_seed[seed]
        for other, by_seed in runs.items()
        if seed in by_seed and other.rpartition("-")[0] == algorithm
    }


def metrics_of(run: SequenceResult, identity: str, references: Mapping[str, SequenceResult]) -> dict[str, float]:
    """All metrics that can be had, by name.

    ACC, BWT, FWT and forgetting need the run alone. With a ``"joint"`` run of the same seed comes intransigence, with a
    ``"single"`` one what Continual World measures, if tasks were evaluated often enough: these are means over several
    evaluations, which must not reach back to a task's beginning. Where scores are not within 0..1, these are of scores
    brought there: 0 is what the single-task run scores untrained, 1 what it scores in the end.

    Args:
        run: a finished one.
        identity: ``"known"`` or ``"unknown"``.
        references: runs beside it, see :func:`beside`.
    """
    matrix = run.matrix(identity)
    found = {name: metric(matrix) for name, metric in METRICS.items()}
    joint, single = references.get("joint"), references.get("single")
    if joint is not None and identity in joint.identities:
        found["intransigence"] = intransigence(matrix, _when_learned(joint.matrix(identity)))
    if single is None:
        return found
    alone, curves, own = single.matrix("known"), run.curves(identity), single.curves("known")
    if min(len(curves.own(task)) for task in range(curves.scores.shape[1])) < 2 * LAST:
        return found
    if alone.max() > 1 or alone.min() < 0:
        low, high = alone[0], _when_learned(alone)
        if (high <= low).any():
            return found
        curves, own = (TaskCurves(normalized(one.scores, low, high), one.trained) for one in (curves, own))
    baseline = np.array([own.own(task).mean() for task in range(own.scores.shape[1])])
    found["CW performance"] = curves.performance()
    found["CW forgetting"] = float(curves.forgetting().mean())
    if (baseline < 1).all():
        found["CW forward transfer"] = float(curves.forward_transfer(baseline).mean())
    return found


def _when_learned(matrix: Scores) -> Scores:
    """``[T]``: each task's score when it is the last one learned."""
    tasks = matrix.shape[1]
    return matrix[np.arange(1, tasks + 1), np.arange(tasks)]
