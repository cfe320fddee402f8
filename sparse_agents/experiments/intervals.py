"""How sure a mean over seeds is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparse_agents.errors import ConfigurationError


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
