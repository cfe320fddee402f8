"""Networks, batches and what full matrices in float64 say about them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from helpers import TOLERANCE, Array, DenseChain, as_array, dense_matrix, positions, random_graph, relative_error
from torch import Tensor

from sparse_agents.ops import NativeNetwork
from sparse_agents.ops.native import Workspace
from sparse_agents.topology import Edges

DTYPES = [torch.float32, torch.float64]
BATCHES = [1, 7, 64, 100, 257]


@dataclass(frozen=True)
class Net:
    widths: tuple[int, ...]
    activations: tuple[str, ...]
    density: float = 0.4
    biased: tuple[bool, ...] = ()

    def edges(self) -> list[Edges]:
        return [
            random_graph(rows, cols, self.density, seed)
            for seed, (cols, rows) in enumerate(zip(self.widths[:-1], self.widths[1:], strict=True))
        ]


NETS = {
    "single": Net((13, 9), ("identity",)),
    "single relu, no bias": Net((13, 9), ("relu",), biased=(False,)),
    "single tanh": Net((9, 17), ("tanh",)),
    "one connection": Net((1, 1), ("identity",), 1.0),
    "one input": Net((1, 19, 3), ("tanh", "identity"), 0.7),
    "one output": Net((23, 16, 1), ("relu", "tanh"), 0.5),
    "policy": Net((11, 64, 48, 3), ("relu", "relu", "tanh"), 0.2),
    "mixed": Net((5, 40, 7, 33, 2), ("tanh", "relu", "identity", "tanh"), 0.5, (False, True, False, True)),
    "full": Net((20, 31, 12), ("relu", "identity"), 1.0),
    "normalised": Net((11, 64, 48, 3), ("layer_norm_relu", "layer_norm_tanh", "identity"), 0.3),
    "normalised output": Net((9, 17, 12), ("tanh", "layer_norm_identity"), 0.5, (False, True)),
    "few": Net((40, 60, 50), ("tanh", "identity"), 0.02),
}
# Rows of enough connections, over columns enough, to be cut into blocks for every vector width.
BLOCKED = Net((1100, 1060, 1100), ("tanh", "relu"), 0.035)
# Enough work for a second thread to be used.
BUSY = Net((200, 240, 100, 8), ("relu", "tanh", "identity"), 0.3)
HEADER = Path(__file__).parents[2] / "kernels" / "cpu" / "plan.h"
THREADING_WORK = int(re.findall(r"kThreadingWork = (\d+);", HEADER.read_text())[0])


@dataclass
class Gradients:
    weights: list[Tensor | None]
    biases: list[Tensor | None]
    x: Tensor | None


@dataclass
class Problem:
    """A network with weights, a batch and an output gradient, and the same in full matrices."""

    net: Net
    batch: int
    dtype: torch.dtype
    network: NativeNetwork = field(init=False)
    dense: DenseChain = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.batch)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(self.dtype)

        self.edges = self.net.edges()
        fan_in = [max(e.nnz / e.shape[0], 1.0) for e in self.edges]
        self.weights = [normal(e.nnz) * f**-0.5 for e, f in zip(self.edges, fan_in, strict=True)]
        biased = self.net.biased or (True,) * len(self.edges)
        self.biases = [normal(e.shape[0]) if b else None for e, b in zip(self.edges, biased, strict=True)]
        self.x = normal(self.batch, self.net.widths[0]) + 0.5  # sums over the batch that do not cancel
        self.grad = normal(self.batch, self.net.widths[-1]) + 0.5
        self.network = NativeNetwork(self.edges, self.net.activations, self.dtype)
        self.dense = DenseChain(
            [dense_matrix(e, w) for e, w in zip(self.edges, self.weights, strict=True)],
            [None if b is None else as_array(b) for b in self.biases],
            self.net.activations,
        )

    @property
    def multiply_adds(self) -> int:
        return sum(e.nnz for e in self.edges) * self.batch

    def forward(self) -> tuple[Tensor, Workspace]:
        workspace = self.network.workspace(self.batch)
        y = self.network.forward(self.x, self.batch, self.weights, self.biases, workspace)
        assert y is not None
        return y, workspace

    def inference(self) -> Tensor:
        y = self.network.forward(self.x, self.batch, self.weights, self.biases, None)
        assert y is not None
        return y

    def backward(
        self, workspace: Workspace, weights: Sequence[bool] | None = None, biases: Sequence[bool] | None = None,
        x: bool = True, grad_workspace: Workspace | None = None,
    ) -> Gradients:  # fmt: skip
        """The gradients wanted, in memory that holds NaN before."""
        layers = len(self.edges)
        wanted_weights = weights or [weights is None] * layers
        wanted_biases = biases or [biases is None] * layers
        found = Gradients(
            [
                torch.full_like(w, torch.nan) if want else None
                for w, want in zip(self.weights, wanted_weights, strict=True)
            ],
            [
                torch.full_like(b, torch.nan) if want and b is not None else None
                for b, want in zip(self.biases, wanted_biases, strict=True)
            ],
            torch.full_like(self.x, torch.nan) if x else None,
        )
        self.network.backward(
            self.batch, workspace, self.weights, self.grad, found.x, found.weights, found.biases, grad_workspace
        )
        return found

    def features(self, workspace: Workspace) -> list[Array]:
        """What the workspace holds at each boundary, sample by sample."""
        boundaries = range(len(self.edges) + 1)
        return [as_array(self.network.features(workspace, self.batch, i).t()) for i in boundaries]

    def check_gradients(self, found: Gradients, workspace: Workspace) -> None:
        values = self.dense.forward(as_array(self.x))
        weights, biases, x = self.dense.backward(values, as_array(self.grad), self.features(workspace))
        tolerance = TOLERANCE[self.dtype]
        for layer, edges in enumerate(self.edges):
            gradient, bias = found.weights[layer], found.biases[layer]
            if gradient is not None:
                assert relative_error(gradient, weights[layer][positions(edges)]) < tolerance
            if bias is not None:
                assert relative_error(bias, biases[layer]) < tolerance
        if found.x is not None:
            assert relative_error(found.x, x) < tolerance


def check_everything(problem: Problem) -> None:
    dtype = problem.dtype
    y, workspace = problem.forward()
    expected = problem.dense.forward(as_array(problem.x))
    for output in (y, problem.inference()):  # whether or not activations are kept
        assert relative_error(output, expected[-1]) < TOLERANCE[dtype]
    for found, wanted in zip(problem.features(workspace), expected, strict=True):
        assert relative_error(found, wanted) < TOLERANCE[dtype]
    problem.check_gradients(problem.backward(workspace), workspace)
