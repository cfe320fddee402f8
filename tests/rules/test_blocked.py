"""Blocks of connections in place of connections, worked out by hand."""

from __future__ import annotations

import pytest
import torch
from sb3_helpers import build
from stable_baselines3 import TD3
from torch import nn
from views import _, after, update, view

from sparse_agents.control import sparsify
from sparse_agents.rules import SET, make_rule
from sparse_agents.rules.blocked import Blocked


def test_the_block_of_smallest_mean_makes_room_for_that_of_largest_gradient() -> None:
    """Means are 0.5, 0.45, 0.6 and sums of |gradient| where blocks are free 2 and 3, whatever single entries are."""
    layer = view([[0.1, 0.9, 0.4, 0.5], [0.5, 0.7, _, _], [_, _, _, _]], [[0, 0, 0, 0], [0, 0, 2, 0], [1, -2, 0, 1]])
    (rewire,) = update(make_rule("rigl", block_size=(1, 2)), layer, fraction=0.4)
    assert after(layer, rewire) == [[0.1, 0.9, _, _], [0.5, 0.7, _, _], [0.0, 0.0, _, _]]


def test_four_units_that_share_an_input_are_a_block() -> None:
    layer = view([[0.1, 0.9], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9], [_, 0.5], [_, 0.5], [_, 0.5], [_, 0.5]],
                 [[0.0, 0.0]] * 4 + [[1.0, 0.0]] * 4)  # fmt: skip
    (rewire,) = update(make_rule("rigl", block_size=4), layer, fraction=0.4)
    assert after(layer, rewire) == [[_, 0.9]] * 4 + [[0.0, 0.5]] * 4


def test_a_block_that_comes_back_at_once_starts_afresh() -> None:
    """Two of three blocks go and two of the three free ones come, so that one at least is back: SET gives it zeros."""
    layer = view([[0.9, 0.9, 0.2, 0.2], [0.1, 0.1, _, _]])
    (rewire,) = update(make_rule("set", block_size=(1, 2)), layer, fraction=0.67)
    assert rewire is not None
    assert rewire.edges.nnz == 6
    assert rewire.follow(layer.weight).tolist() == [0.9, 0.9, 0, 0, 0, 0]
    assert rewire.follow(torch.ones(6)).tolist() == [1, 1, 0, 0, 0, 0]


def test_a_threshold_is_for_the_mean_of_a_block() -> None:
    """Means 0.4 and 0.6, sums 0.8 and 1.2: below 0.5 is the first."""
    layer = view([[0.4, 0.4, 0.6, 0.6, _, _]])
    (rewire,) = update(make_rule("dsr", block_size=(1, 2), threshold=0.5), layer)
    assert after(layer, rewire) == [[_, _, 0.6, 0.6, 0.0, 0.0]]


def test_importance_is_of_the_means_of_a_block() -> None:
    """|w| + λ|g|: 0.4 + 0.5 · 0.4 beats 0.5; with the sum of |g| so would 0.2 + 0.5 · 0.3 · 2 not 0.5 either."""
    gradient = torch.tensor([0.4, -0.4, 0.0, 0.0, 0.3, 0.3]).double()
    layer = view([[0.4, 0.4, 0.5, 0.5, 0.2, 0.2, _, _]], gradient=gradient)
    rule = make_rule("mest", block_size=(1, 2), gradient_weight=0.5)
    (rewire,) = update(rule, layer, fraction=0.34)
    assert rewire is not None
    assert rewire.source.tolist()[:4] == [0, 1, 2, 3]


@pytest.mark.parametrize("block", [(1, 2), 2])
def test_the_largest_blocks_begin(block: int | tuple[int, int]) -> None:
    weight = torch.tensor([[0.1, 0.9, 0.4, 0.5], [0.3, 0.7, -0.6, -0.6]])
    found = make_rule("set", block_size=block).largest_edges("layer", weight, 4).ids.tolist()
    assert found == ([0, 1, 6, 7] if block == (1, 2) else [1, 3, 5, 7])


def test_rules_that_want_more_than_blocks_have_are_refused() -> None:
    class Busy(SET):
        every_step = True

    with pytest.raises(ValueError, match="Busy says `blocks = True`, and blocks have no every_step"):
        Blocked(Busy(), (1, 2))


def test_whole_units_are_not_taken_from_the_outputs() -> None:
    module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    settings = {"topology_kwargs": {"block_size": "unit"}, "distribution": "uniform"}
    with pytest.raises(ValueError, match=r"outputs of the network away, in layer '2'.*`dense`"):
        sparsify(module, sparsity=0.5, **settings)
    sparsify(module, sparsity=0.5, dense=["2"], **settings)
    with pytest.raises(ValueError, match=r"in layer 'actor.mu.4'.*`dense_output=True`"):
        build(TD3, policy_kwargs=settings)
    build(TD3, policy_kwargs={**settings, "dense_output": True})
