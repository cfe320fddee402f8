"""Rows that lead to the same features go together."""

from __future__ import annotations

import pytest
import torch

from sparse_agents.ops.cuda.rows import Rows
from sparse_agents.topology import Edges

MASK = torch.tensor([[1, 0, 1], [0, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize(("size", "found"), [(2, 1), (3, 1), (4, 4), (5, 1), (8, 8), (12, 4), (16, 8)])
def test_by_output(size: int, found: int) -> None:
    """Slots of a block's rows, one behind the other: 16 rows of two connections each."""
    edges = Edges.from_mask(MASK.repeat_interleave(size, 0))
    rows, _ = Rows.of(edges)
    assert (rows.block, rows.count, rows.held) == (found, 2 * size // found, 2)
    _assert_same_connections(rows, edges)
    if size == 4:
        assert rows.row_ptr.tolist() == [0, 2, 4]
        assert sorted(zip(rows.feature.tolist(), rows.slot.view(-1, 4).tolist(), strict=True)) == [
            (0, [0, 2, 4, 6]),
            (1, [8, 10, 12, 14]),
            (2, [1, 3, 5, 7]),
            (2, [9, 11, 13, 15]),
        ]


def test_by_input() -> None:
    edges = Edges.from_mask(MASK.repeat_interleave(4, 1))
    by_output, by_input = Rows.of(edges)
    assert (by_output.block, by_input.block, by_input.count) == (1, 4, 3)
    _assert_same_connections(by_input, edges, transposed=True)


def test_as_many_connections_are_not_enough() -> None:
    """Rows of equal length that lead elsewhere."""
    mask = MASK.repeat_interleave(4, 0)
    mask[3] = torch.tensor([1, 1, 0], dtype=torch.bool)
    assert Rows.of(Edges.from_mask(mask))[0].block == 1


def test_not_where_nobody_asks_and_not_without_connections() -> None:
    assert Rows.of(Edges.from_mask(MASK.repeat_interleave(4, 0)), blocks=False)[0].block == 1
    assert Rows.of(Edges.from_mask(torch.zeros(8, 3, dtype=torch.bool)))[0].block == 1


def _assert_same_connections(rows: Rows, edges: Edges, transposed: bool = False) -> None:
    found = {}
    for group in range(rows.count):
        for entry in range(int(rows.row_ptr[group]), int(rows.row_ptr[group + 1])):
            for step in range(rows.block):
                slot = int(rows.slot[entry * rows.block + step])
                pair = group * rows.block + step, int(rows.feature[entry])
                found[slot] = pair[::-1] if transposed else pair
    expected = list(zip(edges.row.tolist(), edges.col.tolist(), strict=True))
    assert [found[slot] for slot in range(edges.nnz)] == expected


def test_rows_that_have_most_come_first_and_outliers_are_not_what_launches_are_for() -> None:
    lengths = [3, 5, 3, 200, 0]
    rows, _ = Rows.of(Edges.from_mask(torch.arange(300) < torch.tensor(lengths).unsqueeze(1)))
    assert rows.order.tolist() == [3, 1, 0, 2, 4]
    assert rows.held == 2 * sum(lengths) // len(lengths)
    rows, _ = Rows.of(Edges.from_mask(torch.arange(300) < torch.tensor([90, 100, 110]).unsqueeze(1)))
    assert rows.held == 110
