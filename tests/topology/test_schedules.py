"""When an update is due, and how large it is."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_agents import ConfigurationError
from sparse_agents.topology import ANNEALING, Schedule, cubic


def due_steps(schedule: Schedule, last: int) -> list[int]:
    return [step for step in range(1, last + 1) if schedule.due(step)]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, [10, 20, 30, 40]),
        (None, 30, [10, 20, 30]),
        (None, 29, [10, 20]),
        (1, None, [1, 11, 21, 31, 41]),
        (25, None, [25, 35, 45]),
        (25, 40, [25, 35]),
        (7, 7, [7]),
    ],
)
def test_updates_happen_at_begin_and_every_interval_up_to_end(
    begin: int | None, end: int | None, expected: list[int]
) -> None:
    assert due_steps(Schedule(10, 0.3, begin=begin, end=end), 45) == expected


@given(st.integers(1, 50), st.one_of(st.none(), st.integers(1, 100)), st.one_of(st.none(), st.integers(1, 300)))
def test_due_steps_are_an_arithmetic_sequence(interval: int, begin: int | None, end: int | None) -> None:
    first = interval if begin is None else begin
    end = None if end is None else max(end, first)
    steps = due_steps(Schedule(interval, 0.5, begin=begin, end=end), 320)
    assert steps == list(range(first, min(320, math.inf if end is None else end) + 1, interval))


@pytest.mark.parametrize(("begin", "first"), [(30, 30), (None, 100)])
def test_an_end_before_the_first_update_is_refused(begin: int | None, first: int) -> None:
    with pytest.raises(ConfigurationError, match=f"end=20 is before the first update, at step {first}"):
        Schedule(100, 0.3, begin=begin, end=20)


@given(st.sampled_from(sorted(ANNEALING)), st.integers(1, 40), st.integers(1, 60), st.floats(0.01, 1))
def test_fraction_is_whole_at_begin_and_never_rises(kind: str, interval: int, begin: int, zeta: float) -> None:
    schedule = Schedule(interval, zeta, kind, begin=begin, end=begin + 200)
    fractions = [schedule.fraction(step) for step in range(begin, begin + 201)]
    assert fractions[0] == pytest.approx(zeta)
    assert all(later <= earlier for earlier, later in itertools.pairwise(fractions))
    assert all(0 <= fraction <= zeta for fraction in fractions)


@pytest.mark.parametrize("begin", [100, 1, 40])
def test_constant_cosine_and_linear_at_quarters_of_begin_to_end(begin: int) -> None:
    def fractions(kind: str) -> list[float]:
        schedule = Schedule(10, 0.3, kind, begin=begin, end=begin + 400)
        return [schedule.fraction(begin + 100 * quarter) for quarter in range(5)]

    assert fractions("constant") == pytest.approx([0.3] * 5)
    assert fractions("linear") == pytest.approx([0.3, 0.225, 0.15, 0.075, 0.0])
    assert fractions("cosine") == pytest.approx(
        [0.15 * (1 + math.cos(math.pi * q / 4)) for q in range(4)] + [0.0], abs=1e-15
    )


@pytest.mark.parametrize("kind", sorted(ANNEALING))
def test_fraction_is_clamped_outside_begin_and_end(kind: str) -> None:
    schedule = Schedule(10, 0.4, kind, begin=50, end=100)
    assert schedule.fraction(1) == pytest.approx(0.4)
    assert schedule.fraction(1000) == pytest.approx(schedule.fraction(100))


def test_constant_without_end_never_changes() -> None:
    assert [Schedule(10, 0.3).fraction(step) for step in (1, 10, 10**9)] == [0.3] * 3


def test_begin_defaults_to_the_interval() -> None:
    schedule = Schedule(100, 0.3, "linear", end=300)
    assert schedule.first == 100
    assert schedule.fraction(200) == pytest.approx(0.15)


def test_schedule_of_a_single_update() -> None:
    schedule = Schedule(10, 0.3, "cosine", begin=20, end=20)
    assert due_steps(schedule, 100) == [20]
    assert schedule.fraction(20) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update_interval": 0, "drop_fraction": 0.3}, "update_interval=0"),
        ({"update_interval": -5, "drop_fraction": 0.3}, "update_interval=-5"),
        ({"update_interval": 10, "drop_fraction": 0.0}, "drop_fraction=0.0"),
        ({"update_interval": 10, "drop_fraction": 1.5}, "drop_fraction=1.5"),
        ({"update_interval": 10, "drop_fraction": float("nan")}, "drop_fraction=nan"),
        ({"update_interval": 10, "drop_fraction": 0.3, "begin": 0}, "begin=0"),
        ({"update_interval": 10, "drop_fraction": 0.3, "begin": -3}, "begin=-3"),
        ({"update_interval": 10, "drop_fraction": 0.3, "schedule": "cosine"}, "schedule='cosine'.*`end`"),
        ({"update_interval": 10, "drop_fraction": 0.3, "schedule": "linear"}, "schedule='linear'.*`end`"),
        (
            {"update_interval": 10, "drop_fraction": 0.3, "schedule": "cosin", "end": 9},
            "'cosin'.*Did you mean 'cosine'",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_by_value(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Schedule(**arguments)  # type: ignore[arg-type]


def test_progress_is_one_at_the_last_update_wherever_the_end_is() -> None:
    """Updates at 10, 20, 30; the end is at 39."""
    schedule = Schedule(10, 0.3, end=39)
    assert [schedule.at(step).progress for step in (10, 20, 30)] == [0.0, 0.5, 1.0]
    assert [schedule.at(step).number for step in (10, 20, 30)] == [0, 1, 2]
    assert Schedule(10, 0.3, begin=5, end=5).at(5).progress == 1.0
    assert Schedule(10, 0.3).at(10**6).progress == 0.0


def test_cubic_by_hand() -> None:
    assert [cubic(100, 20, t) for t in (0.0, 0.5, 1.0)] == [100, 30, 20]
