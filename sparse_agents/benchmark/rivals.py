"""What a sparse layer is measured against."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_agents.nn import SparseLinear, SparseSequential
from sparse_agents.ops import reference
from sparse_agents.topology import Edges


class MaskedLinear(nn.Module):
    """A dense matrix times a 0/1 mask: how the field simulates sparsity."""

    mask: Tensor

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.linear = layer.to_dense()
        self.register_buffer("mask", layer.topology.edges.mask().to(self.linear.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.linear.weight * self.mask, self.linear.bias)


class TorchCsrLinear(nn.Module):
    """torch's CSR products, the weight gradient by gathers: this project's reference path."""

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.edges: Edges = layer.topology.edges
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        y = reference.matmul(self.edges, self.weight, x.t()).t()
        return y if self.bias is None else y + self.bias


_KEPT: list[nn.Module] = []
"""sparselab finds a matrix's transpose by its ``id()``, which a later matrix could get."""


def _sparselab(layer: SparseLinear) -> nn.Module:
    from sparselab import SparseLinear as Rival

    rival: nn.Module = Rival(layer.in_features, layer.out_features, sparsity=max(layer.sparsity, 1e-6))
    _KEPT.append(rival)
    return rival


def _sparseprop(layer: SparseLinear) -> nn.Module:
    from sparseprop.modules import SparseLinear as Rival

    rival: nn.Module = Rival(layer.topology.edges.dense(layer.weight.detach()), bias=layer.bias)
    return rival


Replacement = Callable[[SparseLinear], nn.Module]


def rivals() -> dict[str, Replacement]:
    """Other sparse layers by name; the optional ones where they are installed."""
    found: dict[str, Replacement] = {"masked dense": MaskedLinear, "torch CSR products": TorchCsrLinear}
    for name, make in (("sparselab", _sparselab), ("sparseprop", _sparseprop)):
        if importlib.util.find_spec(name) is not None:
            found[name] = make
    return found


def with_layers(network: SparseSequential, replace: Replacement) -> nn.Sequential:
    """The network with every sparse layer replaced."""
    return nn.Sequential(*[replace(m) if isinstance(m, SparseLinear) else m for m in network.children()])


def forward_backward(module: nn.Module, x: Tensor, gradient: Tensor) -> Callable[[], None]:
    """One training pass without an optimizer: gradients cleared, forward, backward."""
    parameters = list(module.parameters())

    def call() -> None:
        for parameter in parameters:
            parameter.grad = None
        x.grad = None
        module(x).backward(gradient)

    return call


def bare_dense(weight: Tensor, bias: Tensor, x: Tensor, gradient: Tensor) -> Callable[[], None]:
    """The three matrix products of a dense layer without autograd, on feature-major ``[features, batch]``."""
    y, grad_w, grad_x = gradient.clone(), weight.clone(), x.clone()
    bias_column = bias.unsqueeze(1)

    def call() -> None:
        torch.addmm(bias_column, weight, x, out=y)
        torch.mm(gradient, x.t(), out=grad_w)
        torch.mm(weight.t(), gradient, out=grad_x)
        gradient.sum(1)

    return call


def dense_network(widths: Sequence[int]) -> nn.Sequential:
    """ReLU between layers."""
    modules: list[Any] = []
    for n_in, n_out in pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*modules[:-1])
