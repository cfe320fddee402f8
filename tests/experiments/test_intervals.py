from __future__ import annotations

import math

import numpy as np
import pytest
from numpy import random

from sparse_agents.experiments import mean_interval
from sparse_agents.experiments.intervals import Array, bootstrap


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


def _means(runs: Array) -> Array:
    return np.asarray([runs.mean()])


def test_a_bootstrap_depends_on_its_own_scores_alone() -> None:
    """Not on what was drawn before it, nor on who else is there; and whoever draws next draws as if it had not been."""
    one, other = np.random.default_rng(0).random((2, 3, 2))
    random.seed(7)  # noqa: NPY002  the global generator is what this is about
    _, alone = bootstrap({"one": one}, _means)
    drawn = random.rand()  # noqa: NPY002
    _, beside = bootstrap({"other": other, "one": one}, _means)
    assert alone["one"].tolist() == beside["one"].tolist()
    random.seed(7)  # noqa: NPY002  the global generator is what this is about
    assert random.rand() == drawn  # noqa: NPY002


def test_a_bootstrap_draws_seeds_of_each_point_by_themselves() -> None:
    """Whole runs of returns (0, 2) and (2, 0) all have the mean 1; of four draws one in 16 are all 0, or all 2."""
    points, intervals = bootstrap({"": np.array([[0.0, 2.0], [2.0, 0.0]])}, _means)
    assert points[""].tolist() == [1.0]
    assert intervals[""][:, 0].tolist() == [0.0, 2.0]
