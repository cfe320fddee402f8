"""Several agents on several environments, in few numbers (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.collection import CollectedRun
from sparse_agents.experiments.intervals import Array, Interval, bootstrap

Scores = Mapping[str, Array]
"""``[seeds, environments]``, by label."""


@dataclass(frozen=True)
class Scale:
    """From returns to scores, by environment: ``low`` becomes 0, ``high`` 1."""

    low: Mapping[str, float]
    high: Mapping[str, float]

    def of(self, env: str, value: float) -> float:
        return (value - self.low[env]) / (self.high[env] - self.low[env])


def final_returns(labels: Mapping[str, Sequence[CollectedRun]], last: int) -> dict[str, dict[str, dict[int, float]]]:
    """The mean of each run's last evaluations, by label, environment and seed."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for label, runs in labels.items():
        for run in runs:
            found.setdefault(label, {}).setdefault(run.env, {})[run.seed] = float(run.history.returns[-last:].mean())
    return found


def scale_by(returns: Mapping[str, Mapping[str, Mapping[int, float]]], baseline: str | None) -> Scale:
    """A label's mean is 1, the best label's by default; 0 is a return of 0, or the worst run where there are negative
    ones. Where all runs are alike, all are 1.

    Raises:
        ConfigurationError: where the baseline has not been run on an environment, or is its worst.
    """
    envs = sorted({env for of_label in returns.values() for env in of_label})
    low, high = {}, {}
    for env in envs:
        means = {label: float(np.mean([*found[env].values()])) for label, found in returns.items() if env in found}
        worst = min(value for found in returns.values() for value in found.get(env, {}).values())
        if baseline is not None and baseline not in means:
            raise ConfigurationError(f"The baseline {baseline!r} has no run on {env}. There are: {', '.join(means)}.")
        low[env] = min(worst, 0.0)
        high[env] = max(means.values()) if baseline is None else means[baseline]
        if baseline is None and high[env] == low[env]:
            low[env] -= 1.0
        if high[env] <= low[env]:
            raise ConfigurationError(f"{env}: the baseline is not better than the worst run, so nothing is its part.")
    return Scale(low, high)


def scores_of(returns: Mapping[str, Mapping[str, Mapping[int, float]]], scale: Scale) -> Scores:
    """Of labels that were run on all environments, with the seeds that all of these have."""
    found = {}
    for label, of_label in returns.items():
        if of_label.keys() != scale.high.keys():
            continue
        seeds = sorted(set.intersection(*(set(by_seed) for by_seed in of_label.values())))
        if seeds:
            rows = [[scale.of(env, of_label[env][seed]) for env in sorted(scale.high)] for seed in seeds]
            found[label] = np.array(rows)
    return found


def _metrics() -> Any:
    try:
        from rliable import metrics
    except ImportError as error:
        raise ConfigurationError("These figures need rliable: pip install sparse-agents[experiments]") from error
    return metrics


def aggregate(scores: Scores) -> dict[str, dict[str, Interval]]:
    """Interquartile mean, mean and median over runs with stratified 95% bootstrap intervals, by label and name."""
    metrics = _metrics()
    kinds: Mapping[str, Callable[[Array], float]] = {
        "IQM": metrics.aggregate_iqm,
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
    }

    def all_kinds(runs: Array) -> Array:
        return np.array([kind(runs) for kind in kinds.values()])

    points, intervals = bootstrap(scores, all_kinds)
    return {
        label: {
            kind: _interval(points[label][i], intervals[label][:, i], scores[label]) for i, kind in enumerate(kinds)
        }
        for label in scores
    }


def profiles(scores: Scores, levels: Array) -> dict[str, tuple[Array, Array]]:
    """The fraction of an agent's runs that score above each level, ``[levels]``, with its interval, ``[2, levels]``."""

    def above(runs: Array) -> Array:
        return np.asarray((runs[..., None] > levels).mean((0, 1)))

    points, intervals = bootstrap(scores, above)
    return {label: (points[label], intervals[label]) for label in scores}


def improvement(scores: Scores, over: str) -> dict[str, Interval]:
    """How likely a run of each label is better than one of another on an environment drawn at random."""
    metrics = _metrics()
    pairs = {label: (one, scores[over]) for label, one in scores.items() if label != over}
    points, intervals = bootstrap(pairs, lambda a, b: np.array([metrics.probability_of_improvement(a, b)]))
    return {label: _interval(points[label][0], intervals[label][:, 0], scores[label]) for label in pairs}


def _interval(point: float, interval: Array, scores: Array) -> Interval:
    """Of a single seed there is none."""
    low, high = (float(interval[0]), float(interval[1])) if len(scores) > 1 else (-np.inf, np.inf)
    return Interval(float(point), low, high)
