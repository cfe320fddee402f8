"""Sparse networks within graphs of ``torch.compile``."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse_agents import SparseLinear, sparsify
from sparse_agents.nn import sparse_layers
from sparse_agents.ops import STALE_GRAPH
from sparse_agents.ops.compiled import _forward
from sparse_agents.topology import random_edges

TIMING = {"update_interval": 3, "drop_fraction": 0.3, "schedule": "constant"}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """One stretch, a module that is none, and a layer by itself."""
    torch.manual_seed(0)
    layers = [nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, 14, bias=False), nn.Tanh(), nn.Softplus(), nn.Linear(14, 2)]
    return nn.Sequential(*layers).to(dtype)


def whole(module: nn.Module, backend: str = "aot_eager") -> Any:
    return torch.compile(module, backend=backend, fullgraph=True)


def gradients(run: Any, module: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    y = run(x)
    return [y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])]


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # inductor's own, where it is first used
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_values_and_gradients_are_those_of_eager_code(backend: str, batch: int) -> None:
    module = network()
    sparsify(module, sparsity=0.5, topology="static")
    x = torch.randn(batch, 9)
    for found, expected in zip(gradients(whole(module, backend), module, x), gradients(module, module, x), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_registered_operation() -> None:
    module = nn.Sequential(nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, 3, bias=False)).double()
    sparsify(module, sparsity=0.5, topology="static")
    module(torch.randn(2, 9).double())
    (stretch,) = module._stretches()[0]
    weights: list[Any] = [layer.weight for layer in stretch.layers]
    biases, has_bias = [stretch.layers[0].bias], [True, False]
    for batch in (1, 6):
        x = torch.randn(batch, 9).double().requires_grad_()
        torch.library.opcheck(_forward, (stretch._key, x, weights, biases, has_bias))
    with pytest.raises(RuntimeError, match="topology was changed"):
        _forward(stretch._key, x, [weights[0][1:], weights[1]], biases, has_bias)


@pytest.mark.parametrize("topology", ["set", "rigl", "topkast"])
def test_a_compiled_network_trains_as_an_eager_one_and_is_compiled_once(topology: str) -> None:
    """While its topology changes; with gradients of absent connections, and with connections that rest."""
    modules = [network(torch.float64)]
    modules.append(copy.deepcopy(modules[0]))
    graphs: list[int] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(1)
        return graph.forward

    x, target = torch.randn(11, 9).double(), torch.randn(11, 2).double()
    for module, compiled in zip(modules, (True, False), strict=True):
        controller = sparsify(module, sparsity=0.6, topology=topology, topology_kwargs=TIMING, seed=1)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
        controller.attach(optimizer)
        run = torch.compile(module, backend=count, fullgraph=True) if compiled else module
        before = [layer.topology.edges for layer in sparse_layers(module).values()]
        for _ in range(10):
            optimizer.zero_grad()
            (run(x) - target).square().mean().backward()
            optimizer.step()
        after = [layer.topology.edges for layer in sparse_layers(module).values()]
        assert not all(a.same_as(b) for a, b in zip(before, after, strict=True)) or topology == "topkast"
    for one, other in zip(modules[0].state_dict().values(), modules[1].state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)
    assert len(graphs) == 1


def test_a_graph_that_the_topology_has_outrun_is_refused() -> None:
    module = network()
    sparsify(module, sparsity=0.5, topology="static")
    y = whole(module)(torch.randn(4, 9)).sum()
    topology = sparse_layers(module)["0"].topology
    topology.replace(random_edges(topology.shape, topology.nnz, torch.Generator()))
    with pytest.raises(RuntimeError, match=STALE_GRAPH[:40]):
        y.backward()


def test_a_layer_by_itself_and_a_copy_of_it() -> None:
    layer = SparseLinear(9, 4, sparsity=0.5)
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.weight.mul_(2)
    x = torch.randn(3, 2, 9)
    assert torch.equal(whole(layer)(x), layer(x))
    assert torch.equal(whole(twin)(x), twin(x))
