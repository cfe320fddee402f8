"""How sure a mean over seeds is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparse_agents.errors import ConfigurationError

Array = NDArray[np.float64]
RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and what it may be."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The mean with Student's t interval (1908), which is right for few seeds; unbounded for a single one.

    A percentile bootstrap would be a sixth too narrow at five seeds.
    """
    try:
        from scipy.stats import t
    except ImportError as error:
        raise ConfigurationError("Intervals need SciPy: pip install sparse-agents[experiments]") from error
    data = np.asarray(values, dtype=np.float64)
    mean = float(data.mean())
    if len(data) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = float(t.ppf((1 + confidence) / 2, len(data) - 1) * data.std(ddof=1) / math.sqrt(len(data)))
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(values: Array) -> Interval:
    """The mean over seeds with its 95% stratified bootstrap interval (Agarwal et al., NeurIPS 2021); of one seed, none.

    Args:
        values: ``[seeds]``, or ``[seeds, points]`` for the mean of all.
    """
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    _, ends = bootstrap({"": values.reshape(len(values), -1)}, lambda runs: np.asarray([runs.mean()]))
    return Interval(mean, *map(float, ends[""][:, 0]))


def bootstrap(scores: Mapping[str, Any], statistics: Callable[..., Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Statistics, ``[statistics]``, and their 95% stratified bootstrap intervals, ``[2, statistics]``, by name.

    Args:
        scores: ``[seeds, points]`` by name, each point's seeds being drawn by themselves; or pairs of such.
        statistics: of what is drawn, the same draws for every name.
    """
    try:
        from rliable import library
    except ImportError as error:
        raise ConfigurationError("Intervals need rliable: pip install sparse-agents[experiments]") from error
    points, intervals = {}, {}
    for name, of_name in scores.items():
        with _numpy_seeded(0):
            found = library.get_interval_estimates({name: of_name}, statistics, reps=RESAMPLES)
        points[name], intervals[name] = found[0][name], found[1][name]
    return points, intervals


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """numpy's global generator from a seed, and as it was thereafter: rliable draws seeds of runs from it, whatever
    ``random_state`` it is given.
    """
    state = np.random.get_state()  # noqa: NPY002  it is the one that rliable draws from
    np.random.seed(seed)  # noqa: NPY002  it is the one that rliable draws from
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002  it is the one that rliable draws from
