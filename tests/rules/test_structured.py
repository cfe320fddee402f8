"""Rules of a structure: constant fan-in, and N connections in every M, on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch
from views import _, after, places, update, view

from sparse_agents.rules import (
    NM,
    LayerView,
    SRigL,
)

# ------------------------------------------------------------------ SRigL


def test_srigl_gives_every_unit_the_same_number() -> None:
    """Six connections on three units, K = 3. Kept are 0.9, 0.8, 0.7, but a unit has two; the rest grows by gradient."""
    layer = view(
        [[0.9, 0.8, 0.7, _], [0.1, 0.2, _, _], [0.3, _, _, _]],
        [[0, 0, 0, 1], [0, 0, 9, 8], [0, 2, 7, 1]],
    )
    (rewire,) = update(SRigL(ablation=0.0), layer)
    assert after(layer, rewire) == [[0.9, 0.8, _, _], [_, _, 0.0, 0.0], [_, 0.0, 0.0, _]]


def test_srigl_cuts_only_units_that_are_overfull() -> None:
    """Four of six stay, three of them in the second unit, which may keep two; the first keeps its one."""
    layer = view(
        [[0.95, 0.1, _, _], [0.9, 0.8, 0.7, _], [0.2, _, _, _]],
        [[0, 0, 1, 2], [0, 0, 0, 9], [0, 3, 4, 0]],
    )
    (rewire,) = update(SRigL(ablation=0.0), layer, fraction=0.4)
    assert after(layer, rewire) == [[0.95, _, _, 0.0], [0.9, 0.8, _, _], [_, 0.0, 0.0, _]]


@pytest.mark.parametrize("ablation", [0.5, 0.1])
def test_srigl_ablates_units_without_salient_weights(ablation: float) -> None:
    """The second unit has no large weight, nor a large gradient where it has no connection: a tenth of two still asks
    for one. Its place goes to the first and the last."""
    layer = view(
        [[0.9, 0.8, _, _], [0.1, 0.2, _, _], [0.7, _, 0.6, _]],
        [[0, 0, 9, 8], [9.5, 9.5, 0, 0], [0, 7, 0, 5]],
    )
    (rewire,) = update(SRigL(ablation=ablation), layer, paths=[("layer", "another")])
    assert places(rewire) == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 3)]
    with pytest.raises(ValueError, match="Name them in `paths`, or set ablation=0"):
        update(SRigL(ablation=ablation), layer)
    (output,) = update(SRigL(ablation=ablation), layer, paths=[("layer",)])
    assert output is not None
    assert output.edges.row_ptr.diff().tolist() == [2, 2, 2]


def test_srigl_keeps_smaller_weights_where_a_unit_is_ablated() -> None:
    """Four stay. 0.2 would be of them, but its unit has one salient weight where two are asked for: 0.05 stays."""
    layer = view(
        [[0.9, 0.8, 0.05, _], [0.2, 0.1, _, _], [0.7, _, _, _]],
        [[0, 0, 0, 9], [0, 0, 0, 0], [0, 8, 2, 1]],
    )
    (rewire,) = update(SRigL(ablation=1.0), layer, fraction=0.34, paths=[("layer", "another")])
    assert after(layer, rewire) == [[0.9, 0.8, 0.05, _], [_, _, _, _], [0.7, 0.0, 0.0, _]]


def test_srigl_leaves_as_many_units_as_the_connections_need() -> None:
    """Nine do not fit into the first two units of four, which alone have the two salient weights asked for."""
    layer = view(
        [[0.9, 0.8, 0.7, 0.6], [0.5, 0.4, _, _], [0.3, _, _, _], [0.2, 0.1, _, _]],
        [[0, 0, 0, 0], [0, 0, 9, 0], [0, 3, 2, 1], [0, 0, 0, 0]],
    )
    (rewire,) = update(SRigL(ablation=1.0), layer, fraction=0.12, paths=[("layer", "another")])
    assert after(layer, rewire) == [[0.9, 0.8, 0.7, _], [0.5, 0.4, 0.0, _], [0.3, 0.0, 0.0, _], [_, _, _, _]]


def test_srigl_starts_with_constant_fan_in() -> None:
    edges = SRigL().initial_edges("layer", torch.empty(5, 8), 17, torch.Generator().manual_seed(0))
    assert edges.row_ptr.diff().tolist() == [4, 4, 3, 3, 3]


def test_srigl_can_start_with_the_largest_of_each_unit() -> None:
    weight = torch.tensor([[0.1, -0.9, 0.3], [0.2, 0.1, 0.4]])
    assert SRigL().largest_edges("layer", weight, 3).ids.tolist() == [1, 2, 5]


# ------------------------------------------------------------------ N:M


def test_nm_can_start_with_the_largest_of_each_group() -> None:
    weight = torch.tensor([[0.1, -0.9, 0.3, 0.2], [0.2, 0.1, 0.4, 0.5]])
    assert NM(m=2).largest_edges("layer", weight, 4).ids.tolist() == [1, 2, 4, 7]
    assert NM(m=2).largest_edges("layer", weight, 8).ids.tolist() == list(range(8))


def test_nm_exchanges_within_groups() -> None:
    """One of every two. The smallest, 0.1, leaves the first group, whose other place has the gradient."""
    layer = view([[0.1, _, _, 0.5], [0.7, _, 0.6, _]], [[1, 2, 9, 0], [0, 9, 0, 9]])
    (rewire,) = update(NM(m=2), layer, fraction=0.25)
    assert after(layer, rewire) == [[_, 0.0, _, 0.5], [0.7, _, 0.6, _]]


@pytest.mark.parametrize("growth", ["gradient", "random"])
def test_nm_holds_in_every_group(growth: str) -> None:
    rule = NM(m=4, growth=growth)
    edges = rule.initial_edges("layer", torch.empty(6, 12), 36, torch.Generator().manual_seed(0))
    gradient = torch.randn(6, 12, generator=torch.Generator().manual_seed(1)).tolist()
    layer = view(torch.where(edges.mask(), 1.0, torch.nan).tolist(), gradient)
    weights = torch.rand(36, generator=torch.Generator().manual_seed(2)).double()
    layer = LayerView("layer", edges, weights, layer.probe, layer.generator, 36, 36)
    (rewire,) = update(rule, layer)
    assert rewire is not None
    assert rewire.edges.mask().view(6, 3, 4).sum(2).unique().tolist() == [2]


def test_nm_refuses_widths_that_groups_do_not_divide() -> None:
    with pytest.raises(ValueError, match=r"'first' has 17 inputs, which groups of m=8 do not divide"):
        NM().initial_edges("first", torch.empty(4, 17), 8, torch.Generator())


def test_nm_refuses_less_than_half_a_connection_in_m() -> None:
    with pytest.raises(ValueError, match=r"Layer 'first' is to have 5 of 96.*Raise m, or lower the sparsity"):
        NM(m=8).initial_edges("first", torch.empty(4, 24), 5, torch.Generator())
    assert NM(m=8).initial_edges("first", torch.empty(4, 24), 6, torch.Generator().manual_seed(0)).nnz == 12


def test_nm_leaves_full_layers_alone_whatever_their_width() -> None:
    rule = NM(m=8)
    edges = rule.initial_edges("first", torch.empty(4, 17), 68, torch.Generator())
    assert edges.nnz == rule.start(68, 68) == 68
    assert update(rule, view([[0.1, 0.2, 0.3]], [[1, 1, 1]])) == [None]


def test_nm_static_never_updates() -> None:
    assert NM(dynamic=False).schedule({}, {"update_interval": 1, "drop_fraction": 0.1}) is None
