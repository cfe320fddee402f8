"""Sets as tensors against Python's sets."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparse_agents.topology import complement, find, merge, union, without

Sets = st.sets(st.integers(0, 40))


def as_tensor(values: set[int]) -> Tensor:
    return torch.tensor(sorted(values), dtype=torch.int64)


@given(Sets, st.lists(st.integers(0, 40)))
def test_find_gives_the_place_or_minus_one(where: set[int], what: list[int]) -> None:
    ordered = sorted(where)
    expected = [ordered.index(value) if value in where else -1 for value in what]
    assert find(as_tensor(where), torch.tensor(what, dtype=torch.int64)).tolist() == expected


@given(Sets, st.integers(41, 50))
def test_complement_is_everything_else(of: set[int], size: int) -> None:
    assert complement(as_tensor(of), size).tolist() == sorted(set(range(size)) - of)


@given(Sets)
def test_without_leaves_the_other_places(places: set[int]) -> None:
    values = torch.arange(100, 141)
    assert without(values, as_tensor(places)).tolist() == [100 + i for i in range(41) if i not in places]


@given(Sets, Sets)
def test_merge_keeps_every_value_with_its_key(one: set[int], other: set[int]) -> None:
    other = other - one
    keys, values = merge((as_tensor(one), as_tensor(one) * 1.5), (as_tensor(other), as_tensor(other) * -2.0))
    assert keys.tolist() == sorted(one | other)
    assert values.tolist() == [key * 1.5 if key in one else key * -2.0 for key in sorted(one | other)]
    assert union(as_tensor(one), as_tensor(other)).tolist() == sorted(one | other)
