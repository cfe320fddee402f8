"""Dense float64 computations, written without the library, that sparse results are measured against."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparse_agents.nn import SparseLinear, SparseSequential
from sparse_agents.topology import Edges, Topology

Array = NDArray[np.float64]

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh}
NORM = "layer_norm_"


def as_array(tensor: Tensor) -> Array:
    return tensor.detach().to(torch.float64).numpy()


def positions(edges: Edges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of every connection, from the row pointers."""
    fan_in = np.diff(edges.row_ptr.numpy().astype(np.int64))
    return np.repeat(np.arange(edges.shape[0]), fan_in), edges.col.numpy().astype(np.int64)


def dense_matrix(edges: Edges, values: Tensor) -> Array:
    matrix = np.zeros(edges.shape)
    matrix[positions(edges)] = as_array(values)
    return matrix


def random_mask(rows: int, cols: int, density: float, seed: int) -> Tensor:
    mask = torch.rand(rows, cols, generator=torch.Generator().manual_seed(1000 + seed)) < density
    if not bool(mask.any()):
        mask[seed % rows, seed % cols] = True
    return mask


def random_graph(rows: int, cols: int, density: float, seed: int = 0) -> Edges:
    return Edges.from_mask(random_mask(rows, cols, density, seed))


def layer_norm_jacobian(sums: Array) -> Array:
    """Of what is normalised by the sums of one sample, ``[features, features]``, in full."""
    n, centred = len(sums), sums - sums.mean()
    deviation = np.sqrt(sums.var() + 1e-5)
    by_centred = np.eye(n) / deviation - np.outer(centred, centred) / (n * deviation**3)
    return np.asarray(by_centred @ (np.eye(n) - 1 / n))


@dataclass
class DenseChain:
    """The same layers as full matrices, zeros stored."""

    weights: Sequence[Array]
    biases: Sequence[Array | None]
    activations: Sequence[str]

    def forward(self, x: Array) -> list[Array]:
        """The input and every layer's output."""
        values = [x]
        for layer, activation in enumerate(self.activations):
            z = self._sums(layer, values[-1])
            if activation.startswith(NORM):
                z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
            function = activation.removeprefix(NORM)
            values.append({"identity": z, "relu": np.where(z < 0, 0, z), "tanh": np.tanh(z)}[function])
        return values

    def _sums(self, layer: int, x: Array) -> Array:
        bias = self.biases[layer]
        return np.asarray(x @ self.weights[layer].T + (0 if bias is None else bias))

    def backward(
        self, values: Sequence[Array], grad: Array, patterns: Sequence[Array] | None = None
    ) -> tuple[list[Array], list[Array], Array]:
        """Gradients of weights (full matrices), biases and input.

        ``patterns`` replaces ``values`` where a ReLU asks whether it is on: a preactivation next to
        zero may fall on the other side in float32.
        """
        on = values if patterns is None else patterns
        grad_weights, grad_biases = [], []
        for layer in reversed(range(len(self.weights))):
            function = self.activations[layer].removeprefix(NORM)
            if function == "relu":
                grad = np.where(on[layer + 1] > 0, grad, 0)
            elif function == "tanh":
                grad = grad * (1 - values[layer + 1] ** 2)
            if function != self.activations[layer]:
                jacobians = map(layer_norm_jacobian, self._sums(layer, values[layer]))
                grad = np.array([one @ jacobian for one, jacobian in zip(grad, jacobians, strict=True)])
            grad_weights.insert(0, grad.T @ values[layer])
            grad_biases.insert(0, grad.sum(0))
            grad = grad @ self.weights[layer]
        return grad_weights, grad_biases, grad


def relative_error(actual: Tensor | Array, expected: Array) -> float:
    """Norm of the difference by the norm of what is expected; absolute where that is zero."""
    found = as_array(actual) if isinstance(actual, Tensor) else actual
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / (np.linalg.norm(expected) or 1.0))


def sparse_layer(
    rows: int, cols: int, density: float = 0.5, *, bias: bool = True, dtype: torch.dtype = torch.float64, seed: int = 0
) -> SparseLinear:
    edges = random_graph(rows, cols, density, seed)
    return SparseLinear(cols, rows, bias, topology=Topology(edges), dtype=dtype)


def sparse_network(
    widths: Sequence[int], activations: Sequence[str], density: float = 0.5, *, bias: bool = True,
    dtype: torch.dtype = torch.float64, seed: int = 0,
) -> SparseSequential:  # fmt: skip
    modules: list[nn.Module] = []
    for depth, (cols, rows, activation) in enumerate(zip(widths[:-1], widths[1:], activations, strict=True)):
        modules.append(sparse_layer(rows, cols, density, bias=bias, dtype=dtype, seed=seed + depth))
        if activation.startswith(NORM):
            modules.append(nn.LayerNorm(rows, elementwise_affine=False))
        if activation.removeprefix(NORM) != "identity":
            modules.append(MODULES[activation.removeprefix(NORM)]())
    return SparseSequential(*modules)


def dense_twin(module: nn.Module) -> nn.Module:
    """Float64 ``nn.Linear`` layers in place of sparse ones, built from the positions, for Linear and Sequential."""
    if isinstance(module, SparseLinear):
        linear = nn.Linear(module.in_features, module.out_features, module.bias is not None, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(dense_matrix(module.topology.edges, module.weight)))
            if module.bias is not None:
                linear.bias.copy_(module.bias)
        return linear
    if isinstance(module, nn.Sequential):
        return nn.Sequential(*map(dense_twin, module))
    return module


def run_python(code: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter with further environment variables."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
