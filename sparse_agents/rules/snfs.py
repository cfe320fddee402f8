"""Sparse networks from scratch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import best_free, smallest
from sparse_agents.rules.shares import share_out
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Edges, Rewire, complement

LARGEST_LAYER = 1 << 24
"""Elements of the largest layer whose dense momentum is kept: 64 MiB in float32."""
EPSILON = 1e-8
NEARLY_FULL = 0.2
"""The sparsity below which strong layers keep most of what they have."""


class SNFS(TopologyRule):
    """Exchange the smallest weights for connections of large momentum, in the layers where momentum is large.

    Dettmers & Zettlemoyer, "Sparse Networks from Scratch: Faster Training without Losing Performance", 2019: drop the
    ⌈ζ·nnz⌉ smallest |w| of each layer; share all of them out over layers in proportion to the mean |momentum| of the
    weights it has; within a layer grow the largest |momentum| among all others. Of a layer less than 20% sparse, whose
    share is above the average, no more than that sparsity goes. Momentum is that of Adam,
    m / (√v + 1e-8), as in the authors' code; absent connections have one too, which takes O(dense) memory: layers
    of more than 2^24 possible connections are refused.

    Differences from the authors' code: the number of connections is exact, where theirs is off by what rounding and
    full layers cost, and corrects itself over the updates; a layer may become full, where theirs stops at 99%, and one
    that is to be dense takes no part; new connections start with zero moments in the optimizer, where theirs enter with
    the dense momentum.

    Args:
        betas: decay of the dense momenta; Adam's own by default.
    """

    needs_dense_gradient = True
    every_step = True
    competes = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.5, "schedule": "cosine"}

    def __init__(self, betas: Sequence[float] = (0.9, 0.999)) -> None:
        two = isinstance(betas, list | tuple) and len(betas) == 2
        if not two or not all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in betas):
            raise ConfigurationError(f"betas={betas!r} are not two numbers in [0, 1).")
        self.betas = (betas[0], betas[1])

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        _check_size(name, weight.numel())
        return super().initial_edges(name, weight, budget, generator)

    def largest_edges(self, name: str, weight: Tensor, budget: int) -> Edges:
        _check_size(name, weight.numel())
        return super().largest_edges(name, weight, budget)

    def before_step(self, layer: LayerView) -> None:
        """Let the momenta of all possible connections, present or not, follow the dense gradient."""
        notes = layer.memory.other
        if "m" not in notes:
            notes["m"] = layer.weight.new_zeros(layer.edges.shape)
            notes["v"] = torch.zeros_like(notes["m"])
        for first, tile in layer.probe.tiles():
            rows = slice(first, first + len(tile))
            notes["m"][rows].lerp_(tile, 1 - self.betas[0])
            notes["v"][rows].lerp_(tile * tile, 1 - self.betas[1])

    def update(self, update: Update) -> Sequence[Rewire | None]:
        layers = [layer for layer in update.layers if layer.budget < layer.edges.size]
        strength = [float(self._momentum(layer).view(-1)[layer.edges.ids].mean()) for layer in layers]
        average = sum(strength) / max(len(layers), 1)
        drop = [
            self._drop(layer, update.moment.fraction, own > average)
            for layer, own in zip(layers, strength, strict=True)
        ]
        room = [layer.edges.size - layer.edges.nnz + len(slots) for layer, slots in zip(layers, drop, strict=True)]
        grow = share_out(sum(map(len, drop)), strength, room)
        exchanged = map(self._exchange, layers, drop, grow)
        return [next(exchanged) if layer.budget < layer.edges.size else None for layer in update.layers]

    @staticmethod
    def _drop(layer: LayerView, fraction: float, strong: bool) -> Tensor:
        nnz, size = layer.edges.nnz, layer.edges.size
        sparsity = 1 - nnz / size
        if strong and sparsity < NEARLY_FULL:
            fraction = min(fraction, sparsity)
        return smallest(layer.weight.abs(), min(math.ceil(fraction * nnz), nnz - 1))

    @staticmethod
    def _momentum(layer: LayerView) -> Tensor:
        """``[out_features, in_features]``, its magnitude."""
        notes = layer.memory.other
        return notes["m"].abs() / (notes["v"].sqrt() + EPSILON)

    def _exchange(self, layer: LayerView, drop: Tensor, count: int) -> Rewire | None:
        if len(drop) == 0 and count == 0:
            return None
        kept = complement(drop, layer.edges.nnz)
        grown = best_free([(0, self._momentum(layer))], layer, layer.edges.ids[kept], count)
        return Rewire.exchange(layer.edges, kept, grown, keep_regrown=True)


def _check_size(name: str, size: int) -> None:
    if size > LARGEST_LAYER:
        raise ConfigurationError(
            f"Layer {name!r} has {size} possible connections, and topology='snfs' keeps a momentum for each, up to "
            f"{LARGEST_LAYER}. Use 'rigl', which needs no such memory."
        )
