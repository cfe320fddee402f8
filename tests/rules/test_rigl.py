"""RigL on cases worked out by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_agents.ops import GradientProbe, probe
from sparse_agents.rules import LayerView, RigL
from sparse_agents.topology import Edges


def view(weights: list[float], mask: list[list[int]], gradient: list[list[float]]) -> LayerView:
    """A layer whose dense gradient is the given matrix: identity inputs make it so."""
    edges = Edges.from_mask(torch.tensor(mask, dtype=torch.bool))
    catcher = GradientProbe()
    dense = torch.tensor(gradient)
    catcher._pairs.append(probe.Pair(torch.eye(dense.shape[1]), dense, dense))
    return LayerView("layer", edges, torch.tensor(weights), catcher, torch.Generator())


def new_dense(layer: LayerView, fraction: float) -> tuple[Tensor, Tensor]:
    rewire = RigL().exchange(layer, fraction)
    assert rewire is not None
    return rewire.edges.mask(), rewire.edges.dense(rewire.follow(layer.weight))


def test_drops_small_weights_and_grows_large_gradients() -> None:
    layer = view([0.1, -0.5, 0.4, -0.2], [[1, 1, 0], [0, 1, 1]], [[0.0, 9.0, 0.3], [-0.7, 9.0, 0.1]])
    mask, weight = new_dense(layer, 0.5)  # drops 0.1 and -0.2, grows -0.7 and 0.3
    assert mask.tolist() == [[False, True, True], [True, True, False]]
    assert torch.allclose(weight, torch.tensor([[0.0, -0.5, 0.0], [0.0, 0.4, 0.0]]))


def test_a_dropped_connection_with_a_large_gradient_returns_with_its_value() -> None:
    layer = view([0.1, -0.5, 0.4, -0.2], [[1, 1, 0], [0, 1, 1]], [[5.0, 0.0, 0.3], [-0.7, 0.0, 0.1]])
    mask, weight = new_dense(layer, 0.5)
    assert mask.tolist() == [[True, True, False], [True, True, False]]
    assert torch.allclose(weight, torch.tensor([[0.1, -0.5, 0.0], [0.0, 0.4, 0.0]]))


def test_ties_go_by_position() -> None:
    layer = view([0.1, 0.1, 0.9], [[1, 1, 1, 0, 0, 0]], [[0.0, 0.0, 0.0, 2.0, 2.0, 2.0]])
    mask, _ = new_dense(layer, 0.4)
    assert mask.tolist() == [[False, True, True, True, False, False]]


def test_counts_of_the_rewire() -> None:
    """What returns is neither dropped nor grown."""
    layer = view([0.1, -0.5, 0.4, -0.2], [[1, 1, 0], [0, 1, 1]], [[5.0, 0.0, 0.3], [-0.7, 0.0, 0.1]])
    rewire = RigL().exchange(layer, 0.5)
    assert rewire is not None
    assert (rewire.dropped, rewire.grown) == (1, 1)


def test_full_layer_is_left_alone() -> None:
    assert RigL().exchange(view([0.1, 0.2], [[1, 1]], [[1.0, 1.0]]), 0.5) is None


def test_tiles_do_not_change_the_choice(monkeypatch: object) -> None:
    """The gradient streamed row by row picks what the whole matrix would."""
    generator = torch.Generator().manual_seed(3)
    mask = torch.rand(12, 9, generator=generator) < 0.3
    gradient = torch.randn(12, 9, generator=generator)
    weights = torch.randn(int(mask.sum()), generator=generator)
    layer = view(weights.tolist(), mask.int().tolist(), gradient.tolist())
    whole, _ = new_dense(layer, 0.5)
    monkeypatch.setattr(probe, "TILE_ELEMENTS", 9)  # type: ignore[attr-defined]
    tiled, _ = new_dense(layer, 0.5)
    assert torch.equal(whole, tiled)
    survivors = mask.clone()
    order = weights.abs().argsort()
    rows, cols = mask.nonzero(as_tuple=True)
    dropped = order[: len(weights) // 2]
    survivors[rows[dropped], cols[dropped]] = False
    score = gradient.abs().masked_fill(survivors, -1).flatten()
    expected = survivors.flatten().clone()
    expected[score.argsort(descending=True)[: len(dropped)]] = True
    assert torch.equal(tiled.flatten(), expected)
