"""How sure a mean over seeds is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and what it may be."""

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], confidence: float = 0.95, resamples: int = 10_000) -> Interval:
    """The mean with its percentile bootstrap interval (Efron 1979), over all resamples of the same seed."""
    data = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(0).choice(data, (resamples, len(data))).mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(data.mean()), float(low), float(high))
