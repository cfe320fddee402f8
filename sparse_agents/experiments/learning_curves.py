"""Evaluations of several runs: summed up, and drawn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments.figures import pyplot
from sparse_agents.experiments.intervals import Interval
from sparse_agents.runs import RunFolder

Array = NDArray[np.float64]
RESAMPLES = 2000
WINDOW = 5


@dataclass(frozen=True)
class Curves:
    """Evaluations of the same agent with several seeds.

    Attributes:
        timesteps: ``[evaluations]``.
        returns: ``[seeds, evaluations]``, means over episodes.
    """

    timesteps: Array
    returns: Array

    @classmethod
    def of(cls, runs: Sequence[RunFolder], steps: int) -> Curves:
        """Up to so many environment steps.

        Raises:
            CheckpointError: where a run has not been evaluated at the same steps as the others.
        """
        found = [_evaluations(run, steps) for run in runs]
        for run, (timesteps, _) in zip(runs, found, strict=True):
            if not len(timesteps) or not np.array_equal(timesteps, found[0][0]):
                raise CheckpointError(f"{run.evaluations} has other evaluations than the runs beside it.")
        return cls(found[0][0], np.stack([returns for _, returns in found]))

    def last(self, evaluations: int) -> Array:
        """``[seeds]``: the mean return of the last ones."""
        return np.asarray(self.returns[:, -evaluations:].mean(1))


def _evaluations(run: RunFolder, steps: int) -> tuple[Array, Array]:
    if not run.evaluations.is_file():
        raise CheckpointError(f"There is no {run.evaluations}: the run has not been evaluated yet.")
    with np.load(run.evaluations) as history:
        timesteps, returns = history["timesteps"], history["results"].mean(1)
    return timesteps[timesteps <= steps], returns[timesteps <= steps]


def bootstrap_interval(values: Array) -> Interval:
    """The mean over seeds with its 95% stratified bootstrap interval (Agarwal et al., NeurIPS 2021); of one seed, none.

    Args:
        values: ``[seeds]``, or ``[seeds, points]`` for the mean of all.
    """
    scores = values.reshape(len(values), -1)
    mean = float(scores.mean())
    if len(scores) < 2:
        return Interval(mean, -np.inf, np.inf)
    try:
        from rliable import library, metrics
    except ImportError as error:
        raise ConfigurationError("Intervals need rliable: pip install sparse-agents[experiments]") from error

    def aggregate(runs: Array) -> Array:
        return np.asarray([metrics.aggregate_mean(runs)], dtype=np.float64)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "random_state is deprecated")  # which rliable passes on to its dependency
        _, intervals = library.get_interval_estimates(
            {"": scores}, aggregate, reps=RESAMPLES, random_state=np.random.RandomState(0)
        )
    low, high = intervals[""][:, 0]
    return Interval(mean, float(low), float(high))


def draw(curves: Mapping[str, Curves], title: str, path: Path) -> None:
    """Mean returns over seeds, smoothed over five evaluations, and their bootstrap intervals."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(6, 3.8))
    for (name, curve), color in zip(curves.items(), ("black", "tab:red", "tab:blue", "tab:green"), strict=False):
        x = curve.timesteps / 1000
        axis.plot(x, _smooth(curve.returns.mean(0)), color=color, label=name, linewidth=1.8)
        if len(curve.returns) > 1:
            intervals = [bootstrap_interval(curve.returns[:, i]) for i in range(len(x))]
            low, high = (_smooth(np.array([getattr(one, side) for one in intervals])) for side in ("low", "high"))
            axis.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        else:
            axis.plot(x, curve.returns[0], color=color, alpha=0.25, linewidth=0.8)
    axis.set_xlabel("thousand environment steps")
    axis.set_ylabel("return")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _smooth(values: Array) -> Array:
    """The mean of each value and those before it."""
    return np.array([values[max(0, i - WINDOW + 1) : i + 1].mean() for i in range(len(values))])
