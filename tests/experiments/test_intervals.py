from __future__ import annotations

import math

import numpy as np
import pytest

from sparse_agents.experiments import mean_interval


def test_equal_values_are_certain() -> None:
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_one_value_says_nothing_about_the_spread() -> None:
    assert mean_interval([2.0]) == (2.0, -math.inf, math.inf)


def test_two_values() -> None:
    """Of {0, 1} the standard error is 1/2, and t(0.975) with one degree of freedom is tan(0.475 pi) = 12.706."""
    interval = mean_interval([0.0, 1.0])
    assert interval.mean == 0.5
    assert interval.high - 0.5 == 0.5 - interval.low == pytest.approx(math.tan(0.475 * math.pi) / 2)


def test_five_values_cover_the_truth_as_often_as_they_say() -> None:
    samples = np.random.default_rng(1).normal(size=(4000, 5))
    inside = [low < 0 < high for _, low, high in map(mean_interval, samples.tolist())]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)
