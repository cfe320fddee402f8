"""Matrices worked out by hand, among them those that other libraries get wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparse_agents.continual import metrics
from sparse_agents.errors import ConfigurationError

NAN = np.nan
THREE = np.array(
    [
        [0.1, 0.2, 0.3],  # before training
        [0.9, 0.4, 0.2],
        [0.6, 0.8, 0.5],
        [0.5, 0.7, 1.0],
    ]
)


def test_three_tasks_by_hand() -> None:
    assert metrics.average_score(THREE) == pytest.approx((0.5 + 0.7 + 1.0) / 3)
    assert metrics.backward_transfer(THREE) == pytest.approx(((0.5 - 0.9) + (0.7 - 0.8)) / 2)
    assert metrics.forward_transfer(THREE) == pytest.approx(((0.4 - 0.2) + (0.5 - 0.3)) / 2)
    assert metrics.forgetting(THREE) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.7)) / 2)
    assert metrics.intransigence(THREE, np.array([1.0, 0.9, 0.9])) == pytest.approx((0.1 + 0.1 - 0.1) / 3)


def test_a_task_best_in_the_end_is_forgotten_negatively() -> None:
    """The last row is no candidate for the best score before."""
    matrix = np.array([[0.0, 0.0], [0.5, 0.0], [0.8, 1.0]])
    assert metrics.forgetting(matrix) == pytest.approx(-0.3)


def test_the_best_score_may_come_before_a_tasks_own_turn_but_not_before_training() -> None:
    matrix = np.array([[0.9, 0.9, 0.9], [0.3, 0.8, 0.0], [0.2, 0.6, 0.0], [0.1, 0.5, 0.7]])
    assert metrics.forgetting(matrix) == pytest.approx(((0.3 - 0.1) + (0.8 - 0.5)) / 2)


def test_zeros_are_scores() -> None:
    matrix = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert metrics.average_score(matrix) == 0.5
    assert metrics.backward_transfer(matrix) == -1.0
    assert metrics.forgetting(matrix) == 1.0
    assert metrics.forward_transfer(matrix) == 0.0


def test_one_task_neither_forgets_nor_transfers() -> None:
    matrix = np.array([[0.1], [0.7]])
    assert metrics.average_score(matrix) == 0.7
    assert metrics.backward_transfer(matrix) == metrics.forward_transfer(matrix) == metrics.forgetting(matrix) == 0


def test_what_a_metric_does_not_need_may_be_missing() -> None:
    matrix = np.array([[NAN, NAN, NAN], [0.9, NAN, NAN], [0.6, 0.8, NAN], [0.5, 0.7, 1.0]])
    assert metrics.average_score(matrix) == pytest.approx(2.2 / 3)
    assert metrics.backward_transfer(matrix) == pytest.approx(-0.25)
    assert metrics.forgetting(matrix) == pytest.approx(0.25)
    with pytest.raises(ConfigurationError, match="score of task 2 after 1 learned tasks is missing"):
        metrics.forward_transfer(matrix)


@pytest.mark.parametrize(
    ("row", "task", "metric", "named"),
    [
        (3, 1, metrics.average_score, "task 2 after 3"),
        (1, 0, metrics.backward_transfer, "task 1 after 1"),
        (0, 2, metrics.forward_transfer, "task 3 after 0"),
        (3, 0, metrics.forgetting, "task 1 after 3"),
    ],
)
def test_missing_scores_are_named_not_dropped(row: int, task: int, metric: object, named: str) -> None:
    matrix = THREE.copy()
    matrix[row, task] = NAN
    with pytest.raises(ConfigurationError, match=named):
        metric(matrix)  # type: ignore[operator]


def test_a_task_never_evaluated_before_the_last_is_named() -> None:
    matrix = THREE.copy()
    matrix[1:3, 1] = NAN
    with pytest.raises(ConfigurationError, match="task 2 after 2"):
        metrics.forgetting(matrix)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3), (4,)])
def test_a_matrix_has_a_row_before_training(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="row before training"):
        metrics.average_score(np.zeros(shape))


def test_references_are_one_for_each_task() -> None:
    with pytest.raises(ConfigurationError, match="each of 3 tasks"):
        metrics.intransigence(THREE, np.zeros(2))


@given(arrays(np.float64, (5, 4), elements=st.floats(0, 1)))
def test_forgetting_is_never_less_than_what_backward_transfer_says(matrix: np.ndarray) -> None:
    """The best score before the last row is at least that at a task's own end."""
    assert metrics.forgetting(matrix) >= -metrics.backward_transfer(matrix) - 1e-12


@given(arrays(np.float64, (4, 3), elements=st.floats(0, 1)), st.floats(-5, 5), st.floats(0.1, 10))
def test_differences_ignore_the_zero_of_the_scale(matrix: np.ndarray, shift: float, scale: float) -> None:
    for metric in (metrics.backward_transfer, metrics.forward_transfer, metrics.forgetting):
        assert metric(matrix * scale + shift) == pytest.approx(metric(matrix) * scale, abs=1e-9)
