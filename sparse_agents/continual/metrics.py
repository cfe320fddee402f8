"""What a sequence of tasks did to an agent, in numbers.

A *score matrix* is ``[T + 1, T]``: entry ``(i, j)`` is the score on task ``j`` (from 0) once ``i`` tasks are learned,
so that row 0 is before any training. Entries that a metric does not need may be NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sparse_agents.errors import ConfigurationError

Scores = NDArray[np.float64]


def average_score(matrix: Scores) -> float:
    """ACC: of all tasks in the end."""
    tasks = _tasks(matrix)
    return float(_needed(matrix, [(tasks, task) for task in range(tasks)]).mean())


def backward_transfer(matrix: Scores) -> float:
    """BWT: what later tasks did to earlier ones, from each one's own end to that of all.

    Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017, equation 3. Negative where
    tasks are forgotten; 0 of a single task.
    """
    tasks = _tasks(matrix)
    if tasks == 1:
        return 0.0
    in_the_end = _needed(matrix, [(tasks, task) for task in range(tasks - 1)])
    own_end = _needed(matrix, [(task + 1, task) for task in range(tasks - 1)])
    return float((in_the_end - own_end).mean())


def forward_transfer(matrix: Scores) -> float:
    """FWT: what earlier tasks did to a later one before it began, compared with no training (ibid., equation 4)."""
    tasks = _tasks(matrix)
    if tasks == 1:
        return 0.0
    when_it_begins = _needed(matrix, [(task, task) for task in range(1, tasks)])
    untrained = _needed(matrix, [(0, task) for task in range(1, tasks)])
    return float((when_it_begins - untrained).mean())


def forgetting(matrix: Scores) -> float:
    """From the best score a task ever had, before the last one was learned, to the end.

    Chaudhry, Dokania, Ajanthan, Torr, "Riemannian Walk for Incremental Learning", ECCV 2018, equation 3. The last row
    does not count among the best ones: a task that is better in the end than ever before is forgotten negatively.
    """
    tasks = _tasks(matrix)
    if tasks == 1:
        return 0.0
    before_the_last = matrix[1:tasks, : tasks - 1]
    known = ~np.isnan(before_the_last).all(axis=0)
    if not known.all():
        raise _missing(tasks - 1, int(np.argmin(known)))
    in_the_end = _needed(matrix, [(tasks, task) for task in range(tasks - 1)])
    return float((np.nanmax(before_the_last, axis=0) - in_the_end).mean())


def intransigence(matrix: Scores, reference: Scores) -> float:
    """How much worse a task is learned than by a reference that has the data of all tasks so far (ibid., equation 5).

    Args:
        matrix: the score matrix.
        reference: ``[T]``, the reference's score on each task when that task is its last.
    """
    tasks = _tasks(matrix)
    if reference.shape != (tasks,):
        raise ConfigurationError(f"A reference score for each of {tasks} tasks is needed, not {reference.shape}.")
    return float((reference - _needed(matrix, [(task + 1, task) for task in range(tasks)])).mean())


METRICS: Mapping[str, Callable[[Scores], float]] = {
    "ACC": average_score,
    "BWT": backward_transfer,
    "FWT": forward_transfer,
    "forgetting": forgetting,
}
"""Those that need nothing but a score matrix."""


def _tasks(matrix: Scores) -> int:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] + 1:
        raise ConfigurationError(f"A score matrix is [T + 1, T], with a row before training, not {matrix.shape}.")
    tasks: int = matrix.shape[1]
    return tasks


def _needed(matrix: Scores, entries: list[tuple[int, int]]) -> Scores:
    for row, task in entries:
        if np.isnan(matrix[row, task]):
            raise _missing(row, task)
    return np.array([matrix[entry] for entry in entries])


def _missing(row: int, task: int) -> ConfigurationError:
    return ConfigurationError(f"The score of task {task + 1} after {row} learned tasks is missing.")
