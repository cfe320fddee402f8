"""Selections against a stable sort of everything."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_agents.rules.scores import fill_groups, largest, largest_of_all, smallest

few_values = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), max_size=30)


def first_of_sorted(scores: torch.Tensor, count: int) -> list[int]:
    return sorted(scores.sort(stable=True).indices[:count].tolist())


@given(few_values, st.integers(0, 35))
def test_smallest_and_largest_break_ties_by_index(values: list[float], count: int) -> None:
    scores = torch.tensor(values)
    assert smallest(scores, count).tolist() == first_of_sorted(scores, count)
    assert largest(scores, count).tolist() == first_of_sorted(-scores, count)


@given(st.lists(few_values.filter(bool), min_size=1, max_size=4), st.data())
def test_largest_of_all_leaves_one_everywhere(layers: list[list[float]], data: st.DataObject) -> None:
    scores = [torch.tensor(values) for values in layers]
    count = data.draw(st.integers(len(layers), sum(map(len, layers))))
    kept = largest_of_all(scores, count)
    best = [int(score.argmax()) for score in scores]
    reserved = {(layer, slot) for layer, slot in enumerate(best)}
    others = [
        (-value, layer, slot)
        for layer, values in enumerate(layers)
        for slot, value in enumerate(values)
        if (layer, slot) not in reserved
    ]
    expected = reserved | {(layer, slot) for _, layer, slot in sorted(others)[: count - len(layers)]}
    assert {(layer, slot) for layer, slots in enumerate(kept) for slot in slots.tolist()} == expected


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_fill_groups(groups: int, width: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=groups * width, max_size=groups * width))
    taken = data.draw(st.sets(st.integers(0, groups * width - 1)))
    free = [[i for i in range(g * width, (g + 1) * width) if i not in taken] for g in range(groups)]
    missing = [data.draw(st.integers(0, len(own))) for own in free]
    expected = [
        i for own, many in zip(free, missing, strict=True) for i in sorted(own, key=lambda i: (-values[i], i))[:many]
    ]
    half = groups // 2
    scores = torch.tensor(values).view(groups, width)
    tiles = [(0, scores[:half].clone()), (half * width, scores[half:].clone())]
    survivors = torch.tensor(sorted(taken), dtype=torch.int64)
    assert fill_groups(tiles, survivors, torch.tensor(missing), width).tolist() == sorted(expected)
