"""Sorting and selecting against Python's own, in types that numpy has and one it has not."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_agents.topology import ascending, by_value, kth_smallest, places
from sparse_agents.topology.order import insertion

numbers = st.lists(st.integers(-50, 50), min_size=1, max_size=40)
types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bfloat16], ids=str)


@given(st.lists(st.booleans()))
def test_places(mask: list[bool]) -> None:
    found = places(torch.tensor(mask, dtype=torch.bool))
    assert found.dtype == torch.int64
    assert found.tolist() == [i for i, true in enumerate(mask) if true]


@types
@given(values=numbers)
def test_ascending(dtype: torch.dtype, values: list[int]) -> None:
    unsorted = torch.tensor(values, dtype=dtype)
    assert ascending(unsorted).tolist() == sorted(values)
    assert unsorted.tolist() == values
    both = torch.stack([unsorted, -unsorted])
    assert ascending(both).tolist() == [sorted(values), sorted(-v for v in values)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bfloat16], ids=str)
@given(where=numbers, what=numbers)
def test_insertion(dtype: torch.dtype, where: list[int], what: list[int]) -> None:
    ordered, values = torch.tensor(sorted(where), dtype=dtype), torch.tensor(what, dtype=dtype)
    assert insertion(ordered, values).tolist() == [bisect_left(sorted(where), value) for value in what]
    assert insertion(ordered, values, right=True).tolist() == [bisect_right(sorted(where), value) for value in what]


@types
@given(values=numbers, data=st.data())
def test_kth_smallest(dtype: torch.dtype, values: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    unsorted = torch.tensor(values, dtype=dtype)
    assert kth_smallest(unsorted, k).item() == sorted(values)[k - 1]
    assert unsorted.tolist() == values


@given(st.lists(st.integers(-(2**60), 2**60), unique=True))
def test_by_value(values: list[int]) -> None:
    order = sorted(range(len(values)), key=values.__getitem__)
    assert by_value(torch.tensor(values, dtype=torch.int64)).tolist() == order
