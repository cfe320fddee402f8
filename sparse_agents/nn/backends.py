"""Whether a network computes by connections or densely, with its matrices filled in."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from torch import nn

from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.sequential import SparseSequential
from sparse_agents.ops import backend_info

BACKENDS = ("csr", "masked")
BATCH = 256
"""What ``"auto"`` assumes, for a network is made before anybody trains it."""
LARGEST_MATRIX = 1 << 22
"""Without kernels ``"auto"`` fills in matrices of so many weights at most."""

# Instruction set to batch to width: the density at which three layers of that width, activations between, take as long
# with matrices filled in as with connections; forward and backward through autograd, one core of an Intel Xeon with
# AVX-512 (``scripts/benchmark.py crossover``). Below it connections are faster.
CROSSOVER: Mapping[str, Mapping[int, Mapping[int, float]]] = {
    "avx512": {
        32: {64: 0.99, 128: 0.99, 256: 0.99, 512: 0.99, 1024: 0.99, 2048: 0.81},
        256: {64: 0.99, 128: 0.99, 256: 0.96, 512: 0.89, 1024: 0.66, 2048: 0.47},
    },
    "avx2": {
        32: {64: 0.99, 128: 0.99, 256: 0.99, 512: 0.99, 1024: 0.99, 2048: 0.75},
        256: {64: 0.99, 128: 0.62, 256: 0.56, 512: 0.46, 1024: 0.41, 2048: 0.33},
    },
    "baseline": {
        32: {64: 0.99, 128: 0.99, 256: 0.96, 512: 0.76, 1024: 0.64, 2048: 0.53},
        256: {64: 0.47, 128: 0.29, 256: 0.26, 512: 0.24, 1024: 0.21, 2048: 0.20},
    },
}


def use_backend(module: nn.Module, layers: Collection[SparseLinear], backend: str) -> None:
    """Let layers below ``module`` compute one way, ``"csr"`` or ``"masked"``."""
    for layer in layers:
        layer.use(backend)
    for part in module.modules():
        if isinstance(part, SparseSequential):
            part.forget_stretches()


def fastest(layers: Sequence[tuple[int, int, int]], batch: int = BATCH, instruction_set: str | None = None) -> str:
    """``"csr"`` or ``"masked"`` for layers of ``(outputs, inputs, connections)``: by the table, never by measuring, so
    that a run can be repeated.

    By default for the kernels in use. Without any, filled matrices are faster than torch's own sparse products.
    """
    isa = instruction_set or backend_info().isa
    if isa is None or isa not in CROSSOVER:
        return "masked" if all(rows * cols <= LARGEST_MATRIX for rows, cols, _ in layers) else "csr"
    by_width = CROSSOVER[isa][_nearest(CROSSOVER[isa], batch)]
    by_connection = sum(nnz / by_width[_nearest(by_width, math.sqrt(rows * cols))] for rows, cols, nnz in layers)
    return "csr" if by_connection <= sum(rows * cols for rows, cols, _ in layers) else "masked"


def _nearest(known: Collection[int], value: float) -> int:
    """By ratio."""
    return min(known, key=lambda one: abs(math.log(one / value)))
