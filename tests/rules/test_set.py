"""SET on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from sparse_agents.ops import GradientProbe
from sparse_agents.rules import SET, LayerView, make_rule
from sparse_agents.topology import Edges


def view(weights: list[float], mask: list[list[int]], seed: int = 0) -> LayerView:
    edges = Edges.from_mask(torch.tensor(mask, dtype=torch.bool))
    generator = torch.Generator().manual_seed(seed)
    return LayerView("layer", edges, torch.tensor(weights), GradientProbe(), generator)


def test_drops_each_sign_separately() -> None:
    """Five positive and four negative weights at ζ = 0.5: ⌊2.5⌋ and ⌊2⌋ of each, those nearest zero."""
    layer = view([0.1, -0.2, 0.5, -0.9, 0.3, -0.4, 0.2, -0.3, 0.4], [[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 0, 0]])
    assert sorted(SET().drop(layer, 0.5).tolist()) == [0, 1, 6, 7]


def test_one_sign_only() -> None:
    layer = view([0.4, 0.1, 0.3, 0.2], [[1, 1, 0], [0, 1, 1]])
    assert SET().drop(layer, 0.5).tolist() == [1, 3]


def test_ties_go_by_slot_and_never_drop_more() -> None:
    layer = view([0.1] * 5 + [-0.1] * 5, [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0]])
    assert sorted(SET().drop(layer, 0.4).tolist()) == [0, 1, 5, 6]


def test_zero_counts_as_positive() -> None:
    layer = view([0.0, 0.5, -0.5, -0.6], [[1, 1, 1, 1, 0]])
    assert SET().drop(layer, 0.5).tolist() == [0, 2]


def test_update_keeps_the_count_and_the_survivors() -> None:
    layer = view([0.1, -0.2, 0.5, -0.9], [[1, 1, 0, 0], [0, 1, 1, 0]])
    rewire = SET().exchange(layer, 0.5)
    assert rewire is not None
    assert rewire.edges.nnz == 4
    moved = rewire.follow(layer.weight)
    dense = rewire.edges.dense(moved)
    assert dense[1, 1] == 0.5
    assert dense[1, 2] == pytest.approx(-0.9)
    assert (moved == 0).sum() == 2  # the two new ones


def test_growth_may_return_a_dropped_connection_and_then_resets_it() -> None:
    """One free place and one just dropped: over many seeds both are drawn, and a return starts at zero."""
    returned = 0
    for seed in range(40):
        layer = view([0.1, 0.5, 0.6], [[1, 1, 1, 0]], seed)
        rewire = SET().exchange(layer, 0.34)
        assert rewire is not None
        dense = rewire.edges.dense(rewire.follow(layer.weight))[0]
        assert dense[0] == 0
        returned += int(rewire.edges.mask()[0, 0])
    assert 8 < returned < 32


def test_keep_regrown_keeps_the_value() -> None:
    kept = set()
    for seed in range(40):
        layer = view([0.1, 0.5, 0.6], [[1, 1, 1, 0]], seed)
        rewire = SET(keep_regrown=True).exchange(layer, 0.34)
        assert rewire is not None
        kept.add(round(float(rewire.edges.dense(rewire.follow(layer.weight))[0, 0]), 3))
    assert kept == {0.0, 0.1}


def test_full_layer_is_left_alone() -> None:
    assert SET().exchange(view([0.1, 0.2, 0.3, 0.4], [[1, 1], [1, 1]]), 0.5) is None


def test_too_few_to_drop_is_no_update() -> None:
    assert SET().exchange(view([0.1, -0.2], [[1, 0, 1]]), 0.3) is None


def test_growth_is_uniform_over_free_places() -> None:
    """8 free or dropped places, one grown: 4000 draws, each place within five standard deviations."""
    counts = torch.zeros(10)
    generator = torch.Generator().manual_seed(1)
    edges = Edges.from_mask(torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.bool))
    for _ in range(4000):
        layer = LayerView("layer", edges, torch.tensor([0.1, 0.5, 0.6]), GradientProbe(), generator)
        rewire = SET().exchange(layer, 0.34)
        assert rewire is not None
        counts += rewire.edges.mask()[0]
    assert counts[1] == counts[2] == 4000
    expected = 4000 / 8
    assert ((counts[[0, *range(3, 10)]] - expected).abs() < 5 * expected**0.5).all()


def test_whatever_the_sign() -> None:
    layer = view([0.3, -0.2, 0.5, -0.9], [[1, 1, 0, 0], [0, 1, 1, 0]])
    assert sorted(SET(by_sign=False).drop(layer, 0.5).tolist()) == [0, 1]
    assert sorted(SET().drop(layer, 0.5).tolist()) == [0, 1]
    layer = view([0.3, -0.6, 0.5, -0.9], [[1, 1, 0, 0], [0, 1, 1, 0]])
    assert sorted(SET(by_sign=False).drop(layer, 0.5).tolist()) == [0, 2]


@pytest.mark.parametrize(("kind", "deviation", "limit"), [("normal", 0.1, 1.0), ("he_uniform", 0.2, 0.3465)])
def test_new_weights_are_drawn(kind: str, deviation: float, limit: float) -> None:
    """N(0, 1)/10; and within √(6/50) = 0.3464, whose deviation is 0.2."""
    weights = torch.rand(2000, generator=torch.Generator().manual_seed(1)) + 0.1
    layer = view(weights.tolist(), [[1, 0] * 25] * 80)
    rule = SET(grow_init=kind)
    rewire = rule.exchange(layer, 0.9)
    assert rewire is not None
    grown = rule.new_weights(layer, rewire)
    assert len(grown) == 1800
    assert float(grown.std()) == pytest.approx(deviation, rel=0.1)
    assert float(grown.abs().max()) < limit
    assert abs(float(grown.mean())) < 0.02


def test_new_weights_are_zeros_or_known() -> None:
    with pytest.raises(ValueError, match="Unknown grow_init 'ones'"):
        SET(grow_init="ones")
    with pytest.raises(ValueError, match="judges single connections"):
        make_rule("set", grow_init="normal", block_size=2)
