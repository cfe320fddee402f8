"""How fast a core can load and multiply, and how near sparse networks come to that (Williams et al., CACM 2009)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from sparse_agents.ops.program import Program
from sparse_agents.topology import random_edges
from sparse_agents.training.networks import Layer, Room
from sparse_agents.training.sparse_passes import SparseNetwork

NUMBER, INDEX, LINE = 4, 4, 64
"""Bytes of a float, of an index, and of a cache line, which is what a number in a random place costs."""
LEVELS: Mapping[str, int] = {"L2": 1 << 18, "L3": 1 << 23, "memory": 1 << 29}
"""Bytes that are read over and over: by what holds so many."""
CASES: Mapping[str, tuple[tuple[int, ...], float, int]] = {
    "23-256-256-1, 90%": ((23, 256, 256, 1), 0.9, 256),
    "365-1024-1024-1, 95%": ((365, 1024, 1024, 1), 0.95, 256),
    "1024-8192-8192-64, 99.5%": ((1024, 8192, 8192, 64), 0.995, 256),
    "54,675-500,000-500,000-18, 99.993%": ((54_675, 500_000, 500_000, 18), 1 - 7.4e-5, 32),
}
"""Units, sparsity and batch."""


@dataclass(frozen=True)
class Ceiling:
    """What one core can do.

    Attributes:
        name: a level of memory, or ``"arithmetic"``.
        rate: bytes read per second, or floating-point operations.
    """

    name: str
    rate: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Point:
    """Forward and backward of a network.

    Attributes:
        case: its units and sparsity.
        batch: samples.
        operations: floating-point ones.
        loaded: bytes that instructions load and store, see :func:`work`.
        seconds: it takes.
    """

    case: str
    batch: int
    operations: float
    loaded: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def ceilings() -> Iterator[Ceiling]:
    """Of one thread: dot products of arrays that fit into a level, and a product of dense matrices."""
    for name, size in LEVELS.items():
        a, b = (np.ones(size // 2 // NUMBER, dtype=np.float32) for _ in range(2))
        yield Ceiling(name, size / _seconds(partial(np.dot, a, b)))
    matrix = torch.randn(1024, 1024)
    yield Ceiling("arithmetic", 2 * 1024**3 / _seconds(lambda: torch.mm(matrix, matrix)))


def points(cases: Mapping[str, tuple[tuple[int, ...], float, int]] = CASES) -> Iterator[Point]:
    """Networks with ReLU, by the kernels alone."""
    for name, (units, sparsity, batch) in cases.items():
        network = _network(units, sparsity)
        run = network.new_pass(batch, Room([network], batch))
        x, grad = torch.randn(batch, units[0]), torch.randn(batch, units[-1])
        program = Program([run.forward(x), run.backward(grad)], torch.float32)
        operations, loaded = work([(*layer.edges.shape, layer.edges.nnz) for layer in network.layers], batch)
        yield Point(name, batch, operations, loaded, _seconds(program.run))


def work(layers: Sequence[tuple[int, int, int]], batch: int) -> tuple[float, float]:
    """Floating-point operations and bytes of a forward and a backward without the gradient of the inputs.

    Every connection multiplies a row of activations, ``batch`` numbers: once forward, once for the gradient of its
    weight, once for that of its input, where the last two share one load. Beside these are its weight and its index,
    and in the backward, which goes by columns, a weight fetched from and a gradient put back to a random place. Rows
    that stay in registers, biases and activations themselves count for nothing.

    Args:
        layers: ``(outputs, inputs, connections)``.
        batch: samples.
    """
    operations = loaded = 0.0
    for index, (_, _, connections) in enumerate(layers):
        first = index == 0
        operations += connections * 2 * batch * (2 if first else 3)
        forward = batch * NUMBER + NUMBER + INDEX
        backward = batch * NUMBER + NUMBER + INDEX + (0 if first else 3 * LINE)
        loaded += connections * (forward + backward)
    return operations, loaded


def _network(units: Sequence[int], sparsity: float) -> SparseNetwork:
    """As many connections as inputs and outputs ask for (Erdős–Rényi), all weights random."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(after, before) for before, after in pairwise(units)]
    total = (1 - sparsity) * sum(rows * cols for rows, cols in shapes)
    share = total / sum(rows + cols for rows, cols in shapes)
    layers = []
    for index, (rows, cols) in enumerate(shapes):
        edges = random_edges((rows, cols), min(rows * cols, round(share * (rows + cols))), generator)
        weight = torch.randn(edges.nnz, generator=generator).requires_grad_()
        activation = "identity" if index == len(shapes) - 1 else "relu"
        layers.append(Layer(edges, activation, weight, torch.zeros(rows).requires_grad_()))
    return SparseNetwork(layers, gradients=True)


def _seconds(call: Callable[[], object], least: float = 0.3) -> float:
    """The shortest of several calls."""
    call()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < least:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
