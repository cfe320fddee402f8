"""One graph, three ways to write it down, and refusal of what is no graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparse_agents import CheckpointError
from sparse_agents.topology import Edges, full_edges


@st.composite
def masks(draw: st.DrawFn, smallest: int = 1) -> Tensor:
    rows, cols = draw(st.integers(smallest, 12)), draw(st.integers(smallest, 12))
    cells = draw(st.lists(st.booleans(), min_size=rows * cols, max_size=rows * cols))
    return torch.tensor(cells).view(rows, cols)


@given(masks())
def test_mask_round_trip(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    assert torch.equal(edges.mask(), mask)
    assert edges.nnz == int(mask.sum())
    assert edges.size == mask.numel()
    assert edges.density == pytest.approx(float(mask.double().mean()))


@given(masks())
def test_every_view_names_the_same_connections_in_row_major_order(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    expected = [(i, j) for i in range(mask.shape[0]) for j in range(mask.shape[1]) if mask[i, j]]
    assert list(zip(edges.row.tolist(), edges.col.tolist(), strict=True)) == expected
    assert edges.ids.tolist() == [i * mask.shape[1] + j for i, j in expected]
    assert edges.row_ptr.tolist() == [sum(i < row for i, _ in expected) for row in range(mask.shape[0] + 1)]


@given(masks())
def test_ids_are_the_same_whether_given_or_worked_out(mask: Tensor) -> None:
    given_ids = Edges.from_mask(mask)
    worked_out = Edges(given_ids.shape, given_ids.row_ptr, given_ids.col)
    assert torch.equal(given_ids.ids, worked_out.ids)
    assert given_ids.same_as(worked_out)
    assert given_ids.same_as(Edges.from_ids(worked_out.ids, worked_out.shape))


@given(masks())
def test_transpose_lists_the_connections_column_by_column(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    transpose = edges.transpose
    slots = {(i, j): k for k, (i, j) in enumerate(zip(edges.row.tolist(), edges.col.tolist(), strict=True))}
    expected = [(i, j) for j in range(mask.shape[1]) for i in range(mask.shape[0]) if mask[i, j]]
    assert transpose.row.tolist() == [i for i, _ in expected]
    assert transpose.slot.tolist() == [slots[edge] for edge in expected]
    assert transpose.col_ptr.tolist() == [sum(j < col for _, j in expected) for col in range(mask.shape[1] + 1)]


@given(masks())
def test_index_arrays_have_the_width_that_the_kernels_read(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    assert {t.dtype for t in (edges.row_ptr, edges.col, *edges.transpose)} == {torch.int32}
    assert edges.ids.dtype == torch.int64


@given(masks())
def test_dense_scatters_values_and_gathers_their_gradient(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    values = torch.arange(1.0, edges.nnz + 1, requires_grad=True)
    matrix = edges.dense(values)
    expected = torch.zeros(mask.shape)
    expected[mask] = values.detach()
    assert torch.equal(matrix, expected)
    factors = torch.randn(mask.shape)
    (matrix * factors).sum().backward()
    assert torch.equal(values.grad if edges.nnz else torch.zeros(0), factors[mask])


@given(masks(), masks())
def test_same_as_compares_shape_and_connections(one: Tensor, other: Tensor) -> None:
    assert Edges.from_mask(one).same_as(Edges.from_mask(other)) == torch.equal(one, other)


def test_full_edges_are_in_the_order_of_a_dense_weight() -> None:
    weight = torch.randn(4, 7)
    assert torch.equal(full_edges((4, 7)).dense(weight.view(-1)), weight)


def test_repr_says_how_many() -> None:
    assert repr(full_edges((2, 3))) == "Edges(shape=(2, 3), nnz=6, density=1)"


@given(masks())
def test_checked_accepts_a_graph(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    for dtype in (torch.int32, torch.int64, torch.int16):
        again = Edges.checked(edges.shape, edges.row_ptr.to(dtype), edges.col.to(dtype), "layer")
        assert again.same_as(edges)
        assert again.row_ptr.dtype == again.col.dtype == torch.int32


@dataclasses.dataclass
class Arrays:
    row_ptr: Tensor
    col: Tensor
    cols: int


def first_row_of_two(arrays: Arrays) -> int:
    """The first slot of a row of two connections or more."""
    return int(arrays.row_ptr[int((arrays.row_ptr.diff() >= 2).nonzero()[0])])


def repeat_a_column(arrays: Arrays) -> None:
    slot = first_row_of_two(arrays)
    arrays.col[slot + 1] = arrays.col[slot]


def swap_two_columns(arrays: Arrays) -> None:
    slot = first_row_of_two(arrays)
    arrays.col[[slot, slot + 1]] = arrays.col[[slot + 1, slot]]


def set_column(value_of: Callable[[Arrays], int]) -> Callable[[Arrays], None]:
    def damage(arrays: Arrays) -> None:
        arrays.col[len(arrays.col) // 2] = value_of(arrays)

    return damage


def change(name: str, how: Callable[[Tensor], Tensor]) -> Callable[[Arrays], None]:
    return lambda arrays: setattr(arrays, name, how(getattr(arrays, name)))


def set_pointer(index: int, value: int) -> Callable[[Arrays], None]:
    def damage(arrays: Arrays) -> None:
        arrays.row_ptr[index] += value

    return damage


DAMAGE = {
    "row_ptr too short": change("row_ptr", lambda t: t[:-1]),
    "row_ptr too long": change("row_ptr", lambda t: torch.cat([t, t[-1:]])),
    "row_ptr matrix": change("row_ptr", lambda t: t.view(1, -1)),
    "row_ptr scalar": change("row_ptr", lambda t: t[0]),
    "row_ptr float": change("row_ptr", lambda t: t.float()),
    "row_ptr begins late": set_pointer(0, 1),
    "row_ptr begins negative": set_pointer(0, -1),
    "row_ptr counts too many": set_pointer(-1, 1),
    "row_ptr counts too few": set_pointer(-1, -1),
    "row_ptr falls": set_pointer(1, 10**6),
    "row_ptr negative": set_pointer(1, -(10**6)),
    "row_ptr shifted": change("row_ptr", lambda t: t + 1),
    "col truncated": change("col", lambda t: t[:-1]),
    "col too long": change("col", lambda t: torch.cat([t, t[-1:]])),
    "col matrix": change("col", lambda t: t.view(1, -1)),
    "col float": change("col", lambda t: t.double()),
    "col empty": change("col", lambda t: t[:0]),
    "col negative": set_column(lambda arrays: -1),
    "col too large": set_column(lambda arrays: arrays.cols),
    "col huge": set_column(lambda arrays: 2**31 - 1),
    "col repeated": repeat_a_column,
    "col unsorted": swap_two_columns,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@given(mask=masks(smallest=2))
def test_checked_refuses_every_kind_of_damage(damage: Callable[[Arrays], None], mask: Tensor) -> None:
    mask[mask.shape[0] // 2, :2] = True  # some row has two connections to confuse
    edges = Edges.from_mask(mask)
    arrays = Arrays(edges.row_ptr.clone(), edges.col.clone(), mask.shape[1])
    damage(arrays)
    with pytest.raises(CheckpointError, match=r"net\.3: .* for a layer of \d+ inputs and \d+ outputs"):
        Edges.checked(edges.shape, arrays.row_ptr, arrays.col, "net.3")


def test_checked_refuses_a_column_that_would_wrap_around() -> None:
    """2**32 + 1 is column 1 to whoever looks at its low half."""
    col = torch.tensor([0, 2**32 + 1])
    with pytest.raises(CheckpointError, match="a column outside"):
        Edges.checked((1, 3), torch.tensor([0, 2]), col, "layer")


def test_checked_refuses_falling_unsigned_pointers() -> None:
    """Differences of unsigned numbers never are negative."""
    with pytest.raises(CheckpointError, match="row pointers"):
        Edges.checked((3, 4), torch.tensor([0, 3, 2, 4], dtype=torch.uint8), torch.tensor([0, 1, 2, 3]), "layer")


def test_checked_refuses_complex_numbers() -> None:
    with pytest.raises(CheckpointError, match="not integers"):
        Edges.checked((1, 3), torch.tensor([0, 2]).to(torch.complex64), torch.tensor([0, 1]), "layer")


def test_checked_refuses_another_layers_arrays() -> None:
    edges = full_edges((3, 5))
    with pytest.raises(CheckpointError, match=r"critic\.qf0: a column outside 0\.\.3"):
        Edges.checked((3, 4), edges.row_ptr, edges.col, "critic.qf0")


@given(masks())
def test_transposed_twice_is_the_same(mask: Tensor) -> None:
    edges = Edges.from_mask(mask)
    turned = edges.transposed()
    assert torch.equal(turned.mask(), edges.mask().t())
    assert turned.transposed().same_as(edges)
