from __future__ import annotations

import numpy as np
import pytest

from sparse_agents.experiments import bootstrap


def test_equal_values_are_certain() -> None:
    assert bootstrap([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)


def test_two_values() -> None:
    """Resamples of {0, 1} are 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4: the 95% interval is all of it."""
    assert bootstrap([0.0, 1.0]) == (0.5, 0.0, 1.0)


def test_a_large_sample_has_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(size=400)
    interval = bootstrap(values.tolist())
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.01)
