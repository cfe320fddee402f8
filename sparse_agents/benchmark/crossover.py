"""At which density a network takes as long with its matrices filled in as by connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from sparse_agents.benchmark.rivals import forward_backward
from sparse_agents.benchmark.timing import alternate
from sparse_agents.nn import SparseLinear, dense_layers, random_topologies, replace_layers, use_backend
from sparse_agents.ops import select_isa, supported_isas

WIDTHS = (64, 128, 256, 512, 1024, 2048)
BATCHES = (32, 256)
HALVINGS = 6
LEAST, MOST = 0.02, 1.0


@dataclass(frozen=True)
class Crossover:
    """One entry of the table in ``nn/backends.py``."""

    isa: str
    batch: int
    width: int
    density: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def crossovers(widths: Sequence[int] = WIDTHS, batches: Sequence[int] = BATCHES) -> Iterator[Crossover]:
    """By bisection, for every instruction set there is: three layers, activations between, forward and backward."""
    best = supported_isas()[0]
    try:
        for isa in supported_isas():
            select_isa(isa)
            for batch in batches:
                for width in widths:
                    yield Crossover(isa, batch, width, _crossover(width, batch))
    finally:
        select_isa(best)


def _crossover(width: int, batch: int) -> float:
    x, gradient = torch.randn(batch, width, requires_grad=True), torch.ones(batch, width)
    low, high = LEAST, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        calls = {b: forward_backward(_network(width, middle, b), x, gradient) for b in ("csr", "masked")}
        seconds = alternate(calls, turns=3)
        if seconds["csr"] < seconds["masked"]:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 2)


def _network(width: int, density: float, backend: str) -> nn.Sequential:
    def linear() -> nn.Linear:
        return nn.Linear(width, width)

    network = nn.Sequential(linear(), nn.ReLU(), linear(), nn.ReLU(), linear())
    layers = dense_layers(network)
    connections = dict.fromkeys(layers, max(1, round(density * width**2)))
    replace_layers(network, random_topologies(layers, connections, torch.Generator().manual_seed(0)))
    use_backend(network, [layer for layer in network if isinstance(layer, SparseLinear)], backend)
    return network
