"""The metrics of Continual World: of evaluations all along a sequence.

Wołczyk, Zając, Pascanu, Kuciński, Miłoś, "Continual World: A Robotic Benchmark For Continual Reinforcement Learning",
NeurIPS 2021, section 3; official code github.com/awarelab/continual_world. Scores are success rates in
0..1; returns are to be brought there first (:func:`normalized`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_agents.continual.metrics import Scores
from sparse_agents.errors import ConfigurationError

LAST = 5
"""Evaluations that a score at a point in time is the mean of."""


@dataclass(frozen=True)
class TaskCurves:
    """Evaluations of all tasks while one after the other is trained.

    Attributes:
        scores: ``[evaluations, T]``, in the order of time.
        trained: ``[evaluations]``, the task that was trained then, from 0.
    """

    scores: Scores
    trained: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.trained.shape != self.scores.shape[:1]:
            raise ConfigurationError(
                f"Scores [evaluations, T] and the task trained at each are needed, not {self.scores.shape} and "
                f"{self.trained.shape}."
            )
        never = set(range(self.scores.shape[1])) - set(self.trained.tolist())
        if never:
            raise ConfigurationError(f"Nothing was evaluated while task {min(never) + 1} was trained.")

    def own(self, task: int) -> Scores:
        """A task's scores while it was trained."""
        scores: Scores = self.scores[self.trained == task, task]
        return scores

    def performance(self) -> float:
        """Of all tasks in the end."""
        return float(self.scores[-LAST:].mean())

    def forgetting(self) -> Scores:
        """``[T]``: from a task's own end to that of the sequence; of the last one 0."""
        own_end = np.array([self.own(task)[-LAST:].mean() for task in range(self.scores.shape[1])])
        forgotten: Scores = own_end - self.scores[-LAST:].mean(axis=0)
        forgotten[self.trained[-1]] = 0.0
        return forgotten

    def forward_transfer(self, baseline: Scores) -> Scores:
        """``[T]``: ``(AUC - AUC_b) / (1 - AUC_b)``, the area under a task's own curve against learning it alone.

        Args:
            baseline: ``[T]``, the mean score over a single-task run of the same length, evaluated as often.

        Raises:
            ConfigurationError: where a baseline is perfect, and nothing can be better or worse in proportion.
        """
        tasks = self.scores.shape[1]
        if baseline.shape != (tasks,):
            raise ConfigurationError(f"A baseline for each of {tasks} tasks is needed, not {baseline.shape}.")
        perfect = np.flatnonzero(baseline >= 1)
        if len(perfect):
            raise ConfigurationError(
                f"The single-task baseline of task {perfect[0] + 1} is {baseline[perfect[0]]}, which leaves no room "
                "for transfer. Scores must be below 1 on average: normalise returns by a level that takes time."
            )
        area = np.array([self.own(task).mean() for task in range(tasks)])
        transfer: Scores = (area - baseline) / (1 - baseline)
        return transfer


def normalized(returns: Scores, low: Scores, high: Scores) -> Scores:
    """Returns ``[..., T]`` with ``low`` at 0 and ``high`` at 1, both ``[T]``; not clipped."""
    if (high <= low).any():
        raise ConfigurationError("Returns are normalised between two levels of which the second is the higher.")
    scaled: Scores = (returns - low) / (high - low)
    return scaled
