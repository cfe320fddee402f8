"""Sparse convolutions against dense ones with masks, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sparse_agents import densify, sparsify
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.nn import SparseConv2d, SparseLinear, sparse_layers
from sparse_agents.ops.probe import DenseGrad
from sparse_agents.topology import Topology, random_edges


def pair(seed: int = 0, nnz: int = 40, **options: object) -> tuple[nn.Conv2d, SparseConv2d, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    conv = nn.Conv2d(3, 5, (3, 2), dtype=torch.float64, **options)  # type: ignore[arg-type]
    edges = random_edges((5, 18), nnz, generator)
    sparse = SparseConv2d.from_dense(conv, Topology(edges))
    return conv, sparse, edges.mask().view(5, 3, 3, 2)


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"dilation": (1, 2), "bias": False}, {"padding": "valid"}]
)
def test_values_and_gradients_are_those_of_a_masked_convolution(options: dict[str, object]) -> None:
    conv, sparse, mask = pair(**options)
    x = torch.randn(4, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    other = x.detach().clone().requires_grad_()
    weight = (conv.weight.detach() * mask).requires_grad_()
    expected = F.conv2d(other, weight, conv.bias, conv.stride, conv.padding, conv.dilation)
    y = sparse(x)
    assert torch.allclose(y, expected, atol=1e-12)
    direction = torch.randn_like(y)
    y.backward(direction)
    expected.backward(direction)
    assert torch.allclose(x.grad, other.grad, atol=1e-12)
    assert torch.allclose(sparse.weight.grad, weight.grad[mask], atol=1e-12)
    if conv.bias is not None:
        assert torch.allclose(sparse.bias.grad, conv.bias.grad, atol=1e-12)


def test_storage_is_by_connection() -> None:
    _conv, sparse, _mask = pair()
    assert [p.shape for p in sparse.parameters()] == [(40,), (5,)]
    assert sum(t.numel() for t in sparse.state_dict().values()) == 40 + 5 + 40 + 6  # and columns, row pointers


def test_the_probe_catches_the_dense_gradient_of_the_last_backward() -> None:
    conv, sparse, mask = pair()
    sparse.probe.arm(sparse.weight)
    x = torch.randn(4, 3, 9, 8, dtype=torch.float64)
    weight = (conv.weight.detach() * mask).requires_grad_()
    for factor in (2.0, 1.0):
        sparse.weight.grad = None
        sparse(x).square().sum().mul(factor).backward()
    F.conv2d(x, weight, conv.bias).square().sum().backward()
    (caught,) = sparse.probe.pairs
    assert isinstance(caught, DenseGrad)
    tiles = torch.cat([tile for _first, tile in sparse.probe.tiles()])
    assert torch.allclose(tiles, weight.grad.flatten(1), atol=1e-12)


def test_gradients_of_gradients() -> None:
    _conv, sparse, _mask = pair(nnz=12)
    x = torch.randn(1, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    values = sparse.weight.detach().clone().requires_grad_()

    def run(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(sparse, {"weight": w}, (x,)).tanh()

    assert torch.autograd.gradgradcheck(run, (x, values))


def test_back_to_dense_and_copies() -> None:
    conv, sparse, mask = pair(stride=2, padding=1)
    dense = sparse.to_dense()
    assert type(dense) is nn.Conv2d
    assert torch.equal(dense.weight, conv.weight * mask)
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    assert torch.equal(dense(x), sparse(x))
    assert torch.equal(copy.deepcopy(sparse)(x), sparse(x))


def test_state_of_another_size_loads_and_a_dense_one_is_refused() -> None:
    conv, sparse, _mask = pair()
    _conv, other, _mask = pair(seed=1, nnz=33)
    other.load_state_dict(sparse.state_dict())
    assert torch.equal(other.weight, sparse.weight)
    with pytest.raises(CheckpointError, match="of a dense network"):
        other.load_state_dict(conv.state_dict())


@pytest.mark.parametrize("options", [{"groups": 3}, {"padding_mode": "reflect", "padding": 1}])
def test_what_is_no_bipartite_graph_stays_dense(options: dict[str, object]) -> None:
    conv = nn.Conv2d(3, 6, 3, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="stays dense"):
        SparseConv2d.from_dense(conv, Topology(random_edges((6, 9), 5, torch.Generator())))
    network = nn.Sequential(conv, nn.Flatten(), nn.Linear(6 * 36, 8))
    sparsify(network)
    assert type(network[0]) is nn.Conv2d


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)
    )


GLOBAL = ("snip", "grasp", "dsr", "lamp", "granet")
"""Rules that share the budget out over layers themselves."""


@pytest.mark.parametrize("rule", ["set", "rigl", "mest", "srigl", "topkast", *GLOBAL])
def test_rules_on_a_convolutional_network(rule: str) -> None:
    """Trained to tell images by their brighter half, which a few steps suffice for."""
    network = small_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    timing = {"update_interval": 5, "drop_fraction": 0.3, "end": 40}
    kwargs = {} if rule in ("snip", "grasp") else timing
    kwargs |= {"ablation": 0} if rule == "srigl" else {}  # the order of layers cannot be told from their shapes
    controller = sparsify(network, sparsity=0.7, topology=rule, topology_kwargs=kwargs, optimizer=optimizer, seed=0)
    assert isinstance(network[0], SparseConv2d)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, 2, 11, 11, generator=generator)
    target = (x[:, 0, :, :5].mean((1, 2)) > x[:, 0, :, 6:].mean((1, 2))).long()
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert sum(controller.budgets.values()) == round(0.3 * (8 * 18 + 8 * 72 + 4 * 128))
    for name, layer in sparse_layers(network).items():
        used = layer.topology.edges.active
        count = layer.topology.nnz if used is None else int(used.sum())
        assert count == controller.budgets[name] or rule in GLOBAL


@pytest.mark.parametrize("rule", ["ctre", "synflow"])
def test_rules_that_cannot_say_so_at_once(rule: str) -> None:
    with pytest.raises(ConfigurationError, match=r"does not work on convolutions.*'0' is one"):
        sparsify(small_network(), topology=rule)
    sparsify(small_network(), topology=rule, exclude=["0", "2"])


def test_densify_gives_torchs_own_layers_back() -> None:
    network = small_network()
    sparsify(network, sparsity=0.8)
    dense = densify(network)
    assert {type(layer) for layer in dense} == {nn.Conv2d, nn.ReLU, nn.Flatten, nn.Linear}
    x = torch.rand(3, 2, 11, 11)
    assert torch.allclose(dense(x), network(x), atol=1e-6)
    assert isinstance(network[5], SparseLinear)
