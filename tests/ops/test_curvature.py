"""Hessian-vector products against those of a double backward through dense matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_agents.control import sparsify
from sparse_agents.nn import SparseLinear
from sparse_agents.ops import CurvatureProbe

X = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network() -> tuple[nn.Module, list[SparseLinear]]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    sparsify(module, sparsity=0.5, topology="static")
    return module, [layer for layer in module.modules() if isinstance(layer, SparseLinear)]


def expected(layers: list[SparseLinear], x: Tensor) -> list[Tensor]:
    """H g by automatic differentiation of g · g(constant) on matrices, at the connections."""
    matrices = [layer.topology.edges.dense(layer.weight.detach()).requires_grad_() for layer in layers]
    first, second = layers
    loss = ((x @ matrices[0].t() + first.bias).tanh() @ matrices[1].t() + second.bias).square().mean()
    masks = [layer.topology.edges.mask() for layer in layers]
    gradients = torch.autograd.grad(loss, matrices, create_graph=True)
    alive = [g * mask for g, mask in zip(gradients, masks, strict=True)]
    inner = torch.stack([(g * g.detach()).sum() for g in alive]).sum()
    products = torch.autograd.grad(inner, matrices)
    return [p[mask] for p, mask in zip(products, masks, strict=True)]


def test_products_equal_those_of_matrices_and_add_up() -> None:
    module, layers = network()
    probe = CurvatureProbe()
    probe.arm([layer.weight for layer in layers])
    module(X[:4]).square().mean().backward()
    assert probe.products is not None
    once = expected(layers, X[:4])
    for found, wanted in zip(probe.products, once, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    module(X[4:]).square().mean().backward()
    for found, before, more in zip(probe.products, once, expected(layers, X[4:]), strict=True):
        torch.testing.assert_close(found, before + more, rtol=1e-9, atol=1e-12)
    module.zero_grad()
    module(X[4:]).square().mean().backward()
    for found, wanted in zip(probe.products, expected(layers, X[4:]), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    probe.disarm()


def test_gradients_are_those_without_a_probe() -> None:
    module, layers = network()
    module(X).square().mean().backward()
    without = [layer.weight.grad for layer in layers]
    module.zero_grad()
    probe = CurvatureProbe()
    probe.arm([layer.weight for layer in layers])
    module(X).square().mean().backward()
    probe.disarm()
    for layer, wanted in zip(layers, without, strict=True):
        assert torch.equal(layer.weight.grad, wanted)
    assert probe.products is None
    assert torch.overrides._get_current_function_mode() is None


def test_a_probe_that_is_dropped_is_disarmed() -> None:
    _, layers = network()
    probe = CurvatureProbe()
    probe.arm([layer.weight for layer in layers])
    assert torch.overrides._get_current_function_mode() is not None
    del probe
    assert torch.overrides._get_current_function_mode() is None
