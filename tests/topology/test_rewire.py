"""An update of the connections against a simulation on full matrices."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from helpers import positions
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparse_agents.topology import Edges, Rewire, full_edges


@dataclass
class Update:
    edges: Edges
    drop: list[int]
    grow: list[int]


@st.composite
def updates(draw: st.DrawFn) -> Update:
    """Any exchange of as many connections as go, among them ones that come back at once."""
    rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size = rows * cols
    ids = sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))
    drop = draw(st.lists(st.integers(0, len(ids) - 1), unique=True))
    survivors = set(ids) - {ids[slot] for slot in drop}
    free = draw(st.permutations(sorted(set(range(size)) - survivors)))
    edges = Edges.from_ids(torch.tensor(ids, dtype=torch.int64), (rows, cols))
    return Update(edges, drop, list(free[: len(drop)]))


def exchange(update: Update, keep_regrown: bool) -> Rewire:
    kept = torch.tensor([slot for slot in range(update.edges.nnz) if slot not in update.drop], dtype=torch.int64)
    return Rewire.exchange(update.edges, kept, torch.tensor(update.grow, dtype=torch.int64), keep_regrown)


def simulated(update: Update, values: Tensor, keep_regrown: bool, fill: float) -> tuple[dict[int, float], set[int]]:
    """Position to value after the update, and the positions that are new, one connection at a time."""
    alive = dict(zip(update.edges.ids.tolist(), values.tolist(), strict=True))
    gone = {update.edges.ids[slot].item(): alive.pop(update.edges.ids[slot].item()) for slot in update.drop}
    for position in update.grow:
        alive[position] = gone[position] if keep_regrown and position in gone else fill
    return alive, set(update.grow) - set(gone)


@pytest.mark.parametrize("keep_regrown", [True, False])
@given(update=updates())
def test_values_end_up_where_a_dense_simulation_has_them(update: Update, keep_regrown: bool) -> None:
    values = torch.arange(1.0, update.edges.nnz + 1, dtype=torch.float64)
    expected, new = simulated(update, values, keep_regrown, fill=-7.0)
    rewire = exchange(update, keep_regrown)
    moved = rewire.follow(values, fill=-7.0)
    assert dict(zip(rewire.edges.ids.tolist(), moved.tolist(), strict=True)) == expected
    assert rewire.grown == len(new)
    assert rewire.dropped == len(set(update.edges.ids.tolist()) - set(expected))


@pytest.mark.parametrize("keep_regrown", [True, False])
@given(update=updates())
def test_new_edges_are_a_proper_graph(update: Update, keep_regrown: bool) -> None:
    new = exchange(update, keep_regrown).edges
    assert new.nnz == update.edges.nnz
    assert bool((new.ids.diff() > 0).all())
    assert Edges.checked(new.shape, new.row_ptr, new.col, "new").same_as(new)
    by_rows = set(zip(*(p.tolist() for p in positions(new)), strict=True))
    transpose = new.transpose
    columns = torch.repeat_interleave(torch.arange(new.shape[1]), transpose.col_ptr.diff()).tolist()
    assert list(zip(columns, transpose.row.tolist(), strict=True)) == sorted((j, i) for i, j in by_rows)
    assert torch.equal(new.col[transpose.slot.long()].long(), torch.tensor(columns, dtype=torch.int64))


@given(update=updates())
def test_old_edges_stay_as_they_are(update: Update) -> None:
    before = update.edges.row_ptr.clone(), update.edges.col.clone(), update.edges.ids.clone()
    exchange(update, False)
    after = update.edges.row_ptr, update.edges.col, update.edges.ids
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@given(update=updates())
def test_everything_per_connection_follows_whatever_its_rank_and_dtype(update: Update) -> None:
    rewire = exchange(update, True)
    flat = torch.arange(1, update.edges.nnz + 1)
    moved = rewire.follow(flat, fill=0)
    assert moved.dtype == flat.dtype
    table = torch.stack([flat, 2 * flat], 1).unsqueeze(-1).float()
    expected = torch.stack([moved, 2 * moved], 1).unsqueeze(-1).float()
    assert torch.equal(rewire.follow(table), expected)


@given(update=updates())
def test_source_is_minus_one_exactly_on_new_connections(update: Update) -> None:
    old = update.edges.ids.tolist()
    rewire = exchange(update, True)
    for position, slot in zip(rewire.edges.ids.tolist(), rewire.source.tolist(), strict=True):
        assert slot == (old.index(position) if position in old else -1)


def test_nothing_dropped_changes_nothing() -> None:
    edges = full_edges((3, 4))
    rewire = exchange(Update(edges, [], []), False)
    assert rewire.edges.same_as(edges)
    assert (rewire.dropped, rewire.grown) == (0, 0)
    assert torch.equal(rewire.follow(torch.arange(12.0)), torch.arange(12.0))


def test_regrown_connection_keeps_its_value_only_if_asked_to() -> None:
    edges = Edges.from_ids(torch.tensor([1, 4, 5]), (2, 3))
    update = Update(edges, [1, 2], [4, 0])
    values = torch.tensor([10.0, 20.0, 30.0])
    assert exchange(update, True).follow(values).tolist() == [0.0, 10.0, 20.0]
    assert exchange(update, False).follow(values).tolist() == [0.0, 10.0, 0.0]
    for keep in (True, False):
        assert (exchange(update, keep).dropped, exchange(update, keep).grown) == (1, 1)


def test_infinite_and_missing_values_do_not_reach_new_connections() -> None:
    """A new slot borrows some old one while it moves; nothing of it may remain."""
    edges = Edges.from_ids(torch.tensor([0, 3]), (2, 2))
    moved = exchange(Update(edges, [1], [1]), False).follow(torch.tensor([float("nan"), float("inf")]))
    assert moved[0].isnan()
    assert moved[1] == 0.0
