"""The sparse layer as a module."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from helpers import dense_matrix, dense_twin, random_graph, sparse_layer
from torch import Tensor, nn

from sparse_agents import CheckpointError, ConfigurationError, SparseLinear, Topology
from sparse_agents.topology import Edges, full_edges

State = dict[str, Tensor]


def state_of(module: nn.Module) -> State:
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_number_of_connections_follows_the_sparsity() -> None:
    layer = SparseLinear(40, 25, sparsity=0.9)
    assert layer.topology.nnz == layer.weight.numel() == 100
    assert layer.sparsity == pytest.approx(0.9)
    assert layer.bias is not None
    assert layer.bias.shape == (25,)
    assert SparseLinear(40, 25, bias=False).bias is None


def test_generator_decides_the_topology() -> None:
    layers = [SparseLinear(40, 25, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert layers[0].topology.edges.same_as(layers[1].topology.edges)
    assert not layers[0].topology.edges.same_as(layers[2].topology.edges)


def test_global_seed_decides_the_topology_by_default() -> None:
    graphs = []
    for _ in range(2):
        torch.manual_seed(3)
        graphs.append(SparseLinear(40, 25).topology.edges)
    assert graphs[0].same_as(graphs[1])


def test_initial_weights_fill_the_range_of_the_mean_fan_in() -> None:
    layer = SparseLinear(200, 100, sparsity=0.9)
    bound = 1 / math.sqrt(0.1 * 200)
    assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert layer.bias is not None
    assert float(layer.bias.detach().abs().max()) <= bound


def test_topology_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"shape \(3, 4\) cannot use a topology of shape \(4, 3\)"):
        SparseLinear(4, 3, topology=Topology(full_edges((4, 3))))


@pytest.mark.parametrize("sparsity", [1.0, -0.5, 2.0])
def test_sparsity_out_of_range_is_refused(sparsity: float) -> None:
    with pytest.raises(ConfigurationError, match=f"sparsity={sparsity}"):
        SparseLinear(4, 3, sparsity=sparsity)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_again_keeps_exactly_the_connections(dtype: torch.dtype, bias: bool) -> None:
    linear = nn.Linear(9, 7, bias, dtype=dtype)
    edges = random_graph(7, 9, 0.4)
    layer = SparseLinear.from_dense(linear, Topology(edges))
    back = layer.to_dense()
    assert layer.weight.dtype == back.weight.dtype == dtype
    assert torch.equal(back.weight, torch.where(edges.mask(), linear.weight, 0))
    assert (back.bias is None) == (not bias)
    if bias:
        assert torch.equal(back.bias, linear.bias)
    again = SparseLinear.from_dense(back, Topology(edges))
    assert torch.equal(again.weight, layer.weight)


def test_from_dense_scales_weights_but_not_the_bias() -> None:
    linear = nn.Linear(9, 7)
    edges = random_graph(7, 9, 0.4)
    layer = SparseLinear.from_dense(linear, Topology(edges), scale=3.0)
    torch.testing.assert_close(layer.to_dense().weight, torch.where(edges.mask(), 3 * linear.weight, 0))
    assert torch.equal(layer.to_dense().bias, linear.bias)


def test_from_dense_leaves_the_dense_layer_alone() -> None:
    linear = nn.Linear(9, 7)
    before = linear.weight.detach().clone()
    layer = SparseLinear.from_dense(linear, Topology(full_edges((7, 9))))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()  # type: ignore[union-attr]
    assert torch.equal(linear.weight, before)
    assert bool(linear.bias.any())


def test_from_dense_draws_no_random_numbers() -> None:
    linear, topology = nn.Linear(9, 7), Topology(full_edges((7, 9)))
    before = torch.get_rng_state()
    SparseLinear.from_dense(linear, topology)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_conversions_keep_mode_and_what_is_frozen(frozen: str, training: bool) -> None:
    linear = nn.Linear(9, 7).train(training)
    linear.get_parameter(frozen).requires_grad_(False)
    layer = SparseLinear.from_dense(linear, Topology(random_graph(7, 9, 0.4)))
    back = layer.to_dense()
    for name in ("weight", "bias"):
        assert layer.get_parameter(name).requires_grad == (name != frozen)
        assert back.get_parameter(name).requires_grad == (name != frozen)
    assert layer.training == back.training == training


def test_state_round_trip_with_another_number_of_connections() -> None:
    saved, layer = sparse_layer(6, 8, 0.8, seed=1), sparse_layer(6, 8, 0.2, seed=2)
    x = torch.randn(5, 8, dtype=torch.float64)
    layer(x).sum().backward()
    parameter = layer.weight
    layer.load_state_dict(saved.state_dict())
    assert layer.weight is parameter
    assert layer.weight.grad is None
    assert layer.topology.edges.same_as(saved.topology.edges)
    assert torch.equal(layer(x), saved(x))
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.shape == saved.weight.shape


def test_loaded_layer_shares_no_memory_with_the_state() -> None:
    saved, layer = sparse_layer(6, 8, 0.8, seed=1), sparse_layer(6, 8, 0.2, seed=2)
    state = state_of(saved)
    layer.load_state_dict(state)
    before = layer.weight.detach().clone()
    state["weight"].zero_()
    assert torch.equal(layer.weight, before)


def test_state_goes_through_a_file() -> None:
    saved, layer = sparse_layer(6, 8, 0.8, seed=1), sparse_layer(6, 8, 0.2, seed=2)
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    layer.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(5, 8, dtype=torch.float64)
    assert torch.equal(layer(x), saved(x))


def cut_weights(state: State) -> None:
    state["net.1.weight"] = state["net.1.weight"][:-1]


def column_out_of_range(state: State) -> None:
    state["net.1.topology.col"][0] = 8


def negative_column(state: State) -> None:
    state["net.1.topology.col"][0] = -1


def unsorted_columns(state: State) -> None:
    state["net.1.topology.col"] = state["net.1.topology.col"].flip(0)


def falling_pointers(state: State) -> None:
    state["net.1.topology.row_ptr"][1] = 10**6


def cut_connections(state: State) -> None:
    state["net.1.topology.col"] = state["net.1.topology.col"][:-1]
    state["net.1.weight"] = state["net.1.weight"][:-1]


def another_shape(state: State) -> None:
    for key, value in sparse_layer(5, 8, 0.5).state_dict().items():
        state[f"net.1.{key}"] = value


def dense_weights(state: State) -> None:
    state["net.1.weight"] = torch.randn(6, 8, dtype=torch.float64)


DAMAGE = [
    cut_weights,
    column_out_of_range,
    negative_column,
    unsorted_columns,
    falling_pointers,
    cut_connections,
    another_shape,
    dense_weights,
]


class Agent(nn.Module):
    def __init__(self, density: float) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Identity(), sparse_layer(6, 8, density))


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("density", [0.5, 0.2])
def test_damaged_state_is_refused_with_the_layers_name(damage: Callable[[State], None], density: float) -> None:
    state = state_of(Agent(0.5))
    damage(state)
    with pytest.raises(CheckpointError, match=r"net\.1\."):
        Agent(density).load_state_dict(state)


@pytest.mark.parametrize("damage", DAMAGE)
def test_refused_state_leaves_weights_that_fit_the_connections(damage: Callable[[State], None]) -> None:
    """Otherwise the next forward reads past the end of the weights."""
    state = state_of(Agent(0.5))
    damage(state)
    agent = Agent(0.2)
    with contextlib.suppress(RuntimeError, CheckpointError):
        agent.load_state_dict(state)
    layer = agent.net[1]
    assert layer.weight.shape == (layer.topology.nnz,)


def test_damaged_index_arrays_are_described() -> None:
    state = state_of(Agent(0.5))
    column_out_of_range(state)
    with pytest.raises(CheckpointError, match=r"net\.1\.topology: a column outside 0\.\.7"):
        Agent(0.5).load_state_dict(state)


def test_state_of_a_dense_layer_is_refused_with_the_mend() -> None:
    with pytest.raises((CheckpointError, ConfigurationError), match="dense network"):
        nn.Sequential(SparseLinear(8, 6)).load_state_dict(nn.Sequential(nn.Linear(8, 6)).state_dict())


class Pair(nn.Module):
    """Online layer and target on one topology."""

    def __init__(self, density: float = 0.5, seed: int = 0) -> None:
        super().__init__()
        topology = Topology(random_graph(6, 8, density, seed))
        self.online = SparseLinear(8, 6, topology=topology, dtype=torch.float64)
        self.target = SparseLinear(8, 6, topology=topology, dtype=torch.float64)


def assert_shared(pair: Pair) -> None:
    assert pair.online.topology is pair.target.topology
    pair.online.topology.replace(random_graph(6, 8, 0.5, seed=77))
    assert pair.target.topology.edges is pair.online.topology.edges


COPIES: list[Callable[[nn.Module], nn.Module]] = [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_copies_share_a_topology_among_themselves_only(copied: Callable[[Pair], Pair]) -> None:
    pair = Pair()
    before = pair.online.topology.edges
    twin = copied(pair)
    assert twin.online.topology is not pair.online.topology
    assert_shared(twin)
    assert pair.online.topology.edges is before


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle"])
def test_copies_compute_the_same_and_train_by_themselves(copied: Callable[[SparseLinear], SparseLinear]) -> None:
    layer = sparse_layer(6, 8)
    x = torch.randn(5, 8, dtype=torch.float64)
    y = layer(x)
    twin = copied(layer)
    assert torch.equal(twin(x), y)
    twin(x).sum().backward()
    with torch.no_grad():
        twin.weight.add_(1.0)
    assert layer.weight.grad is None
    assert torch.equal(layer(x), y)


def test_shared_topology_loads_whole() -> None:
    saved, pair = Pair(0.8, seed=1), Pair(0.2, seed=2)
    pair.load_state_dict(saved.state_dict())
    x = torch.randn(5, 8, dtype=torch.float64)
    assert torch.equal(pair.online(x), saved.online(x))
    assert torch.equal(pair.target(x), saved.target(x))
    assert_shared(pair)


def test_loading_one_of_two_layers_does_not_leave_the_other_with_wrong_weights() -> None:
    """The other one's weights belong to connections that are gone: an error, not an output."""
    pair = Pair(0.8, seed=1)
    pair.online.load_state_dict(sparse_layer(6, 8, 0.2, seed=2).state_dict())
    with pytest.raises((RuntimeError, ValueError)):
        pair.target(torch.randn(5, 8, dtype=torch.float64))


def test_conversion_to_double_and_back() -> None:
    layer = SparseLinear(8, 6, sparsity=0.5)
    x = torch.randn(5, 8)
    y = layer(x)
    assert layer.double() is layer
    assert layer.weight.dtype == torch.float64
    assert layer.topology.col.dtype == torch.int32
    torch.testing.assert_close(layer(x.double()).float(), y)
    assert torch.equal(layer.float()(x), y)


@pytest.mark.parametrize("shape", [(8,), (1, 8), (2, 3, 8), (2, 3, 4, 8), (0, 8), (3, 0, 8)])
def test_inputs_of_any_rank_and_their_gradients(shape: tuple[int, ...]) -> None:
    layer = sparse_layer(6, 8)
    twin = dense_twin(layer)
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    expected = twin(x)
    assert y.shape == expected.shape
    torch.testing.assert_close(y, expected)
    gradient, wanted = (torch.autograd.grad(z.square().sum(), x)[0] for z in (y, expected))
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("shape", [(5, 7), (5, 9), (7,), (2, 3, 9), (8, 1)])
def test_input_of_another_width_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"8 inputs got an input of shape .*{shape[-1]}\)"):
        SparseLinear(8, 6)(torch.randn(*shape))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
def test_input_of_another_dtype_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"torch.float32 weights got {dtype} inputs"):
        SparseLinear(8, 6)(torch.ones(5, 8).to(dtype))


def test_replaced_topology_is_used_at_once() -> None:
    layer = sparse_layer(6, 8, 0.5)
    x = torch.randn(5, 8, dtype=torch.float64)
    layer(x)
    other = random_graph(6, 8, 0.5, seed=5)
    layer.weight.data = torch.randn(other.nnz, dtype=torch.float64)
    layer.topology.replace(other)
    expected = x.numpy() @ dense_matrix(other, layer.weight).T + layer.bias.detach().numpy()  # type: ignore[union-attr]
    torch.testing.assert_close(layer(x), torch.from_numpy(expected))


def test_backward_over_a_replaced_topology_is_refused() -> None:
    layer = sparse_layer(6, 8, 0.5)
    y = layer(torch.randn(5, 8, dtype=torch.float64)).sum()
    layer.topology.replace(random_graph(6, 8, 0.5, seed=5))
    with pytest.raises(RuntimeError, match="topology changed between this forward and its backward"):
        y.backward()


def test_optimizer_trains_the_connections() -> None:
    torch.manual_seed(1)
    layer = SparseLinear(8, 3, sparsity=0.5)
    wanted = SparseLinear(8, 3, topology=layer.topology)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(300):
        x = torch.randn(64, 8)
        optimizer.zero_grad()
        loss = (layer(x) - wanted(x).detach()).square().mean()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight, wanted.weight, atol=2e-2, rtol=0)


def test_repr_names_sizes_and_connections() -> None:
    text = repr(SparseLinear(8, 6, sparsity=0.5))
    assert "in_features=8, out_features=6, bias=True" in text
    assert "24 connections (50.0%)" in text


def test_another_number_of_connections_while_a_graph_is_alive() -> None:
    """Autograd caches what shape of gradient a leaf takes; agents keep losses of earlier steps in variables."""
    layer = sparse_layer(4, 6, 0.5)
    old = layer(torch.randn(3, 6, dtype=torch.float64)).sum()
    old.backward(retain_graph=True)
    fewer = Edges.from_ids(layer.topology.edges.ids[:5], (4, 6))
    layer.topology.replace(fewer)
    layer.replace_weight(layer.weight.data[:5].clone())
    layer(torch.randn(3, 6, dtype=torch.float64)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.shape == (5,)
    assert old.grad_fn is not None
