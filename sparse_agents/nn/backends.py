"""Whether a network computes by connections or densely, with its matrices filled in."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import nn

from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.sequential import SparseSequential
from sparse_agents.ops import backend_info
from sparse_agents.ops.cuda import launcher_for

BACKENDS = ("csr", "masked")
BATCH = 256
"""What ``"auto"`` assumes, for a network is made before anybody trains it."""
LARGEST_MATRIX = 1 << 22
"""Without kernels ``"auto"`` fills in matrices of so many weights at most."""

# Kernels to batch to width: the density at which three layers of that width, activations between, take as long
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
    # Not measured, but reckoned for an H200: small networks take a launch or two; in larger layers a connection costs 8
    # bytes of shared memory a sample, forward and backward together (33 TB/s), and a weight of a matrix 6 operations
    # (60 TFLOP/s without TF32), two thirds of the former reached.
    "cuda": {
        32: {64: 0.99, 128: 0.99, 256: 0.99, 512: 0.28, 1024: 0.28, 2048: 0.28},
        256: {64: 0.99, 128: 0.99, 256: 0.99, 512: 0.28, 1024: 0.28, 2048: 0.28},
    },
}


def use_backend(module: nn.Module, layers: Collection[SparseLinear], backend: str) -> None:
    """Let layers below ``module`` compute one way, ``"csr"`` or ``"masked"``."""
    for layer in layers:
        layer.use(backend)
    for part in module.modules():
        if isinstance(part, SparseSequential):
            part.forget_stretches()


def kernels_on(device: torch.device) -> str | None:
    """Which ones a network there computes with, as the table names them; None: torch alone."""
    if device.type == "cuda":
        return None if launcher_for(device) is None else "cuda"
    return backend_info().isa


def fastest(layers: Sequence[tuple[int, int, int]], batch: int = BATCH, kernels: str | None = None) -> str:
    """``"csr"`` or ``"masked"`` for layers of ``(outputs, inputs, connections)``: by the table, never by measuring, so
    that a run can be repeated.

    Without kernels filled matrices are faster than torch's own sparse products.
    """
    if kernels is None or kernels not in CROSSOVER:
        return "masked" if all(rows * cols <= LARGEST_MATRIX for rows, cols, _ in layers) else "csr"
    by_width = CROSSOVER[kernels][_nearest(CROSSOVER[kernels], batch)]
    by_connection = sum(nnz / by_width[_nearest(by_width, math.sqrt(rows * cols))] for rows, cols, nnz in layers)
    return "csr" if by_connection <= sum(rows * cols for rows, cols, _ in layers) else "masked"


def _nearest(known: Collection[int], value: float) -> int:
    """By ratio."""
    return min(known, key=lambda one: abs(math.log(one / value)))
