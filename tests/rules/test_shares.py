from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_agents.rules.shares import share_out


def test_proportions_and_the_largest_remainder() -> None:
    """10 in proportion 1 : 2 : 4 is 1.43, 2.86, 5.71: rounded down 1, 2, 5, and the last two get one more."""
    assert share_out(10, [1, 2, 4], [99, 99, 99]) == [1, 3, 6]


def test_what_a_full_place_cannot_take_goes_to_the_others() -> None:
    assert share_out(10, [8, 1, 1], [2, 99, 99]) == [2, 4, 4]


def test_places_without_weight_come_last() -> None:
    assert share_out(3, [0, 1], [5, 2]) == [1, 2]


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="room for 3, not for 4"):
        share_out(4, [1, 1], [1, 2])


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(0, 50)), min_size=1, max_size=8), st.data())
def test_everything_is_handed_out_and_nobody_overfilled(places: list[tuple[float, int]], data: st.DataObject) -> None:
    weights, room = [w for w, _ in places], [r for _, r in places]
    total = data.draw(st.integers(0, sum(room)))
    shares = share_out(total, weights, room)
    assert sum(shares) == total
    assert all(0 <= share <= limit for share, limit in zip(shares, room, strict=True))
