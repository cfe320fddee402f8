from __future__ import annotations

import numpy as np
import pytest

from sparse_agents.continual.curves import TaskCurves, normalized
from sparse_agents.errors import ConfigurationError

# Two tasks, six evaluations in each one's time.
FIRST = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.9, 0.7, 0.5, 0.5, 0.4, 0.4]
SECOND = [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.5]
CURVES = TaskCurves(np.array([FIRST, SECOND]).T, np.repeat([0, 1], 6))


def test_two_tasks_by_hand() -> None:
    end_first, end_second = 2.5 / 5, 2.9 / 5  # the last five evaluations
    assert CURVES.performance() == pytest.approx((end_first + end_second) / 2)
    own_end_first = (0.2 + 0.4 + 0.6 + 0.8 + 1.0) / 5
    assert CURVES.forgetting() == pytest.approx([own_end_first - end_first, 0.0])
    area_first, area_second = 3.0 / 6, 3.0 / 6
    transfer = CURVES.forward_transfer(np.array([0.5, 0.2]))
    assert transfer == pytest.approx([(area_first - 0.5) / 0.5, (area_second - 0.2) / 0.8])


def test_short_tasks_use_what_there_is() -> None:
    curves = TaskCurves(np.array([[0.4, 0.0], [0.6, 0.0], [0.2, 1.0]]), np.array([0, 0, 1]))
    assert curves.forgetting() == pytest.approx([0.5 - 0.4, 0.0])


@pytest.mark.parametrize(
    ("scores", "trained", "message"),
    [
        (np.zeros((3, 2)), np.zeros(2, int), "task trained at each"),
        (np.zeros(3), np.zeros(3, int), "task trained at each"),
        (np.zeros((3, 2)), np.zeros(3, int), "while task 2 was trained"),
    ],
)
def test_incomplete_curves_are_refused(scores: np.ndarray, trained: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TaskCurves(scores, trained)


def test_a_perfect_baseline_leaves_no_room() -> None:
    with pytest.raises(ConfigurationError, match="baseline of task 2 is 1"):
        CURVES.forward_transfer(np.array([0.5, 1.0]))
    with pytest.raises(ConfigurationError, match="each of 2 tasks"):
        CURVES.forward_transfer(np.array([0.5]))


def test_returns_are_brought_to_a_scale_task_by_task() -> None:
    returns = np.array([[-1000.0, 50.0], [0.0, 150.0]])
    scaled = normalized(returns, np.array([-1000.0, 100.0]), np.array([-500.0, 200.0]))
    assert scaled == pytest.approx(np.array([[0.0, -0.5], [2.0, 0.5]]))
    with pytest.raises(ConfigurationError, match="second is the higher"):
        normalized(returns, np.zeros(2), np.zeros(2))
