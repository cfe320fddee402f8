"""Rules on the way from dense to sparse, on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch
from views import _, after, places, update, view

from sparse_agents.rules import ACDC, GMP, LAMP, GraNet
from sparse_agents.topology import lamp_score


@pytest.mark.parametrize(("progress", "left"), [(0.0, 8), (0.25, 5), (0.5, 4), (1.0, 3)])
def test_gmp_follows_the_cubic_curve(progress: float, left: int) -> None:
    """3 + 5 (1 − t)³ = 8, 5.11, 3.625, 3."""
    layer = view([[0.8, 0.1, 0.7, 0.2], [0.6, 0.3, 0.5, 0.4]], start=8, budget=3)
    (rewire,) = update(GMP(), layer, progress=progress)
    if left == 8:
        assert rewire is None
        return
    assert rewire is not None
    assert rewire.edges.nnz == left
    kept = sorted((w for row in after(layer, rewire) for w in row if w is not None), reverse=True)
    assert kept == [0.8, 0.7, 0.6, 0.5, 0.4][:left]


def test_lamp_scores() -> None:
    """Squares 1, 4, 9: 1/14, 4/13, 9/9; of two equal ones the first counts as smaller."""
    assert lamp_score(torch.tensor([2.0, -3.0, 1.0])).tolist() == pytest.approx([4 / 13, 1.0, 1 / 14])
    assert lamp_score(torch.tensor([1.0, 1.0])).tolist() == pytest.approx([0.5, 1.0])
    assert lamp_score(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_lamp_compares_layers_of_different_scale() -> None:
    """Scores 0.2, 1 and 1/82, 1: of three places the last goes to 0.1, though 1 is larger."""
    one, two = view([[0.1, 0.2]], budget=2), view([[1.0, 9.0]], budget=1)
    first, second = update(LAMP(), one, two, progress=1.0)
    assert first is None
    assert places(second) == [(0, 1)]


def test_acdc_takes_turns_and_ends_compressed() -> None:
    rule = ACDC()
    dense = view([[0.5, 0.1], [0.2, 0.9]], start=4, budget=2)
    compressed = update(rule, dense, number=0)[0]
    assert after(dense, compressed) == [[0.5, _], [_, 0.9]]
    sparse = view([[0.5, _], [_, 0.9]], start=4, budget=2)
    opened = update(rule, sparse, number=1)[0]
    assert after(sparse, opened) == [[0.5, 0.0], [0.0, 0.9]]
    assert update(rule, sparse, number=3, progress=1.0) == [None]


def test_granet_prunes_over_layers_and_regrows_within_them() -> None:
    """From 4 + 3 to 3 + 2 connections: 0.1 and 0.2 go for good. Then each layer exchanges half, rounded down, of
    what is left for the absent connection with the largest gradient.
    """
    one = view([[0.9, 0.8, 0.7, 0.1]], [[0.0, 0.0, 1.0, 5.0]], start=4, budget=3)
    two = view([[0.6, 0.2, 0.5, _]], [[0.0, 0.1, 0.2, -9.0]], start=3, budget=2)
    first, second = update(GraNet(initial_density=1.0, prune_until=0.5), one, two, fraction=0.5, progress=0.5)
    assert after(one, first) == [[0.9, 0.8, _, 0.1]]  # dropped and grown at once: it keeps its value
    assert after(two, second) == [[0.6, _, _, 0.0]]


def test_granet_counts_what_layers_hold_that_it_does_not_see() -> None:
    """8 and 4 are meant, the other holds 6, so that 6 are left here; and of 12 that the other holds, one."""
    layer = view([[0.1 * i for i in range(1, 11)]], [[0.0] * 10], start=10, budget=8)
    for held, left in ((6, 6), (12, 1)):
        other = view([[0.5] * held + [_]], name="other", start=held, budget=4)
        (rewire,) = update(GraNet(), layer, progress=1.0, fraction=0.1, unreached=[other])
        assert rewire is not None
        assert rewire.edges.nnz == left


def test_granet_goes_on_exchanging_when_pruning_has_ended() -> None:
    layer = view([[0.9, 0.1, _]], [[0.0, 0.0, 1.0]], start=3, budget=2)
    assert after(layer, update(GraNet(), layer, progress=0.9)[0]) == [[0.9, _, 0.0]]


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_granet_refuses_parts_that_are_none(value: float) -> None:
    with pytest.raises(ValueError, match=f"prune_until={value}"):
        GraNet(prune_until=value)
    with pytest.raises(ValueError, match=f"initial_density={value}"):
        GraNet(initial_density=value)
