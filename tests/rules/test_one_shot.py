"""Pruning before training, on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch
from stable_baselines3 import TD3
from views import _, after, places, update, view

from sparse_agents.control import sparsify
from sparse_agents.rules import SNIP, GraSP, Magnitude, Memory, SynFlow


def test_magnitude_keeps_the_largest_over_all_layers() -> None:
    """Two layers of four, three connections in all: 0.9, 0.8, 0.7, wherever they are."""
    one = view([[0.9, -0.8], [0.1, 0.2]], budget=2)
    two = view([[0.3, -0.7], [0.4, 0.5]], budget=1)
    first, second = update(Magnitude(scope="global"), one, two, progress=1.0)
    assert after(one, first) == [[0.9, -0.8], [_, _]]
    assert after(two, second) == [[_, -0.7], [_, _]]


def test_magnitude_by_layer_keeps_each_budget() -> None:
    one, two = view([[0.9, 0.8], [0.1, 0.2]], budget=1), view([[0.3, 0.7], [0.4, 0.5]], budget=2)
    first, second = update(Magnitude(), one, two, progress=1.0)
    assert places(first) == [(0, 0)]
    assert places(second) == [(0, 1), (1, 1)]


def test_a_layer_whose_scores_are_all_small_keeps_its_best() -> None:
    one, two = view([[0.9, 0.8], [0.7, 0.6]], budget=2), view([[0.01, 0.02]], budget=1)
    _first, second = update(Magnitude(scope="global"), one, two, progress=1.0)
    assert places(second) == [(0, 1)]


def test_snip_multiplies_weight_and_gradient() -> None:
    """|w g| = 0.2, 0.9, 0.3, 0.04: the second and the third stay."""
    layer = view([[2.0, -0.3], [1.0, 0.4]], budget=2, gradient=torch.tensor([0.1, 3.0, -0.3, 0.1]).double())
    assert after(layer, update(SNIP(), layer, progress=1.0)[0]) == [[_, -0.3], [1.0, _]]


@pytest.mark.parametrize("rule", ["snip", "grasp"])
def test_without_a_gradient_there_is_nothing_to_judge_by(rule: str) -> None:
    """``torch.autograd.backward`` is not seen by the probe of curvature; and no backward leaves no gradient."""
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    sparsify(module, sparsity=0.5, topology=rule, optimizer=optimizer)
    if rule == "grasp":
        torch.autograd.backward(module(torch.ones(4, 8)).square().mean())
    with pytest.raises(ValueError, match=r"'0', which no backward has reached. Call loss.backward\(\)"):
        optimizer.step()


def test_a_layer_that_no_backward_reached_is_not_judged() -> None:
    module = torch.nn.ModuleDict({name: torch.nn.Linear(8, 6) for name in ("one", "other")})
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    sparsify(module, sparsity=0.5, topology="snip", optimizer=optimizer)
    module["one"](torch.ones(4, 8)).square().mean().backward()
    with pytest.raises(ValueError, match=r"layer 'other', which no backward has reached.*`exclude`"):
        optimizer.step()


def test_gradients_of_zero_say_nothing() -> None:
    layer = view([[1.0, 2.0]], budget=1, gradient=torch.zeros(2).double())
    with pytest.raises(ValueError, match=r"SNIP: the gradients that came are zero.*scope='layer'"):
        update(SNIP(), layer, progress=1.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", ["snip", "grasp"])
def test_a_critic_keeps_connections_to_its_action(rule: str, seed: int) -> None:
    """Of Pendulum's three observations and one action, over all layers the action lost its connections."""
    policy_kwargs = {"net_arch": [64, 64], "sparsity": 0.9, "topology": rule}
    model = TD3("SparseMlpPolicy", "Pendulum-v1", seed=seed, learning_starts=20, policy_kwargs=policy_kwargs)
    model.learn(26)
    first = model.critic.qf0[0].topology
    assert first.nnz < first.edges.size
    assert 3 in first.edges.col.tolist()


def test_snip_sums_the_gradients_of_its_minibatches() -> None:
    """Gradients that cancel count as none: 1 and -1 on the first connection, 0.4 and 0.4 on the second."""
    memory = Memory()
    first = view([[1.0, 1.0]], budget=1, gradient=torch.tensor([1.0, 0.4]).double(), memory=memory)
    assert update(SNIP(batches=2), first, progress=0.0) == [None]
    second = view([[1.0, 1.0]], budget=1, gradient=torch.tensor([-1.0, 0.4]).double(), memory=memory)
    assert places(update(SNIP(batches=2), second, progress=1.0)[0]) == [(0, 1)]
    assert not memory.slots


def test_grasp_removes_the_largest_minus_w_h_g() -> None:
    """−w·Hg = −2, 3, 0.5, −1: the second and the third go."""
    layer = view([[1.0, -1.0], [0.5, 2.0]], budget=2, curvature=torch.tensor([2.0, 3.0, -1.0, 0.5]).double())
    assert after(layer, update(GraSP(), layer, progress=1.0)[0]) == [[1.0, _], [_, 2.0]]


def test_synflow_counts_the_flow_through_a_connection() -> None:
    """Two inputs, two hidden units, one output. Flow = product of |w| along all paths through the connection.

    Layer one: 1·4, 2·4 into the first hidden unit, 3·0.5, 1·0.5 into the second. Layer two: (1+2)·4 and (3+1)·0.5.
    In one round, of 4, 8, 1.5, 0.5, 12, 2 the three largest are 12, 8, 4.
    """
    one, two = view([[1.0, -2.0], [3.0, 1.0]], name="one", budget=2), view([[-4.0, 0.5]], name="two", budget=1)
    paths = [("one", "two")]
    first, second = update(SynFlow(rounds=1), one, two, progress=1.0, paths=paths)
    assert after(one, first) == [[1.0, -2.0], [_, _]]
    assert after(two, second) == [[-4.0, _]]


def test_synflow_goes_through_dense_layers() -> None:
    """The dense layer on the way favours the second hidden unit by 100."""
    layer = view([[1.0, 2.0], [3.0, 1.0]], name="one", budget=1)
    fixed = {"two": torch.tensor([[0.01, -1.0]])}
    (rewire,) = update(SynFlow(rounds=1), layer, progress=1.0, paths=[("one", "two")], fixed=fixed)
    assert places(rewire) == [(1, 0)]


def test_synflow_does_not_guess_how_layers_follow_each_other() -> None:
    with pytest.raises(ValueError, match="do not form a chain"):
        update(SynFlow(), view([[1.0, 2.0]], budget=1), progress=1.0)


def test_no_minibatches_is_refused() -> None:
    with pytest.raises(ValueError, match="batches=0"):
        SNIP(batches=0)


def test_unknown_scope_names_the_valid_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown scope 'globl'\. Did you mean 'global'"):
        Magnitude(scope="globl")
