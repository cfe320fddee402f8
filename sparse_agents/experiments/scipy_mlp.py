"""The same network on SciPy's sparse matrices, in the manner of the code published with SET, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.set_mlp import MOMENTUM, WEIGHT_DECAY
from sparse_agents.nn import sparse_layers

Array = NDArray[Any]
CHUNK = 1 << 16


class ScipyMLP:
    """Layers as CSR matrices ``[inputs, outputs]``, samples in rows.

    Forward and backward are SciPy's products with dense matrices, topology updates go through dictionaries of keys. The
    gradient of a connection is the sum over samples of its input times its output's gradient, which the published code
    has a compiled loop over connections for, and numpy here, for many connections at a time. All in float64, as there.

    Args:
        network: of sparse layers and ReLU, whose topology and weights it takes over.
        learning_rate: of SGD with momentum and weight decay.
    """

    def __init__(self, network: nn.Module, learning_rate: float) -> None:
        try:
            from scipy.sparse import csr_matrix
        except ImportError as error:
            raise ConfigurationError("This needs SciPy: pip install sparse-agents[experiments]") from error
        self.weights: list[Any] = []
        self.biases: list[Array] = []
        self._rows: list[Array] = []
        for layer in sparse_layers(network).values():
            edges = layer.topology.edges
            values = layer.weight.detach().double().numpy()
            outputs_first = csr_matrix((values, edges.col.numpy(), edges.row_ptr.numpy()), shape=edges.shape)
            matrix = outputs_first.T.tocsr()
            assert layer.bias is not None
            self.weights.append(matrix)
            self.biases.append(layer.bias.detach().double().numpy())
            self._rows.append(np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)))
        self._steps = [np.zeros_like(w.data) for w in self.weights]
        self._bias_steps = [np.zeros_like(b) for b in self.biases]
        self._rate = learning_rate

    def forward(self, x: Array) -> list[Array]:
        """``x`` and the values of every layer, of which the last has no activation."""
        values = [x.astype(np.float64)]
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            sums = values[-1] @ weight + bias
            values.append(sums if index == len(self.weights) - 1 else np.maximum(sums, 0))
        return values

    def step(self, x: Array, y: Array) -> float:
        """One minibatch; its loss."""
        values = self.forward(x)
        shifted = values[-1] - values[-1].max(1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        delta = np.exp(logs)
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        for index in reversed(range(len(self.weights))):
            weight, before = self.weights[index], values[index]
            gradient = self._gradient(index, before, delta)
            bias_gradient = delta.sum(0)
            if index > 0:
                delta = (delta @ weight.T) * (before > 0)
            for value, step, grad in (
                (weight.data, self._steps[index], gradient),
                (self.biases[index], self._bias_steps[index], bias_gradient),
            ):
                step *= MOMENTUM
                step += grad + WEIGHT_DECAY * value
                value -= self._rate * step
        return float(-logs[np.arange(len(y)), y].mean())

    def evolve(self, fraction: float, rng: np.random.Generator) -> None:
        """SET's update (Mocanu et al. 2018, algorithm 1): the positive weights nearest zero go, and the negative ones;
        as many come at random, with values as small as initial ones.
        """
        for index, weight in enumerate(self.weights):
            low, high = _thresholds(weight.data, fraction)
            values = zip(weight.data.tolist(), self._steps[index].tolist(), strict=True)
            places = zip(self._rows[index].tolist(), weight.indices.tolist(), strict=True)
            kept = {p: v for p, v in zip(places, values, strict=True) if not low < v[0] < high}
            rows, columns = weight.shape
            while len(kept) < weight.nnz:
                place = (int(rng.integers(rows)), int(rng.integers(columns)))
                if place not in kept:
                    kept[place] = (rng.standard_normal() / 10, 0.0)
            self._replace(index, kept)

    def _replace(self, index: int, connections: dict[tuple[int, int], tuple[float, float]]) -> None:
        ordered = sorted(connections)
        matrix = self.weights[index]
        matrix.data = np.array([connections[place][0] for place in ordered])
        self._steps[index] = np.array([connections[place][1] for place in ordered])
        self._rows[index] = np.array([row for row, _ in ordered])
        matrix.indices = np.array([column for _, column in ordered], dtype=matrix.indices.dtype)
        counts = np.bincount(self._rows[index], minlength=matrix.shape[0])
        matrix.indptr = np.concatenate([[0], counts.cumsum()]).astype(matrix.indptr.dtype)

    def _gradient(self, index: int, inputs: Array, delta: Array) -> Array:
        weight, rows = self.weights[index], self._rows[index]
        gradient: Array = np.empty_like(weight.data)
        for first in range(0, len(rows), CHUNK):
            some = slice(first, first + CHUNK)
            gradient[some] = np.einsum("bk,bk->k", inputs[:, rows[some]], delta[:, weight.indices[some]])
        return gradient


def _thresholds(values: Array, fraction: float) -> tuple[float, float]:
    """Between these are that fraction of the negative values, and of the positive ones."""
    negative, positive = np.sort(values[values < 0])[::-1], np.sort(values[values > 0])
    low = negative[min(len(negative) - 1, round(fraction * len(negative)))] if len(negative) else 0.0
    high = positive[min(len(positive) - 1, round(fraction * len(positive)))] if len(positive) else 0.0
    return float(low), float(high)
