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


class SNFS(TopologyRule):
    """Exchange the smallest weights for connections of large momentum, in the layers where momentum is large.

    Dettmers & Zettlemoyer, "Sparse Networks from Scratch: Faster Training without Losing Performance", 2019: drop the
    ⌈ζ·nnz⌉ smallest |w| of each layer; share all of them out over layers in proportion to the mean |momentum| of the
    weights it has; within a layer grow the largest |momentum| among all others. Momentum is that of Adam,
    m / (√v + 1e-8), as in the authors' code; absent connections have one too, which takes O(dense) memory: layers
    of more than 2^24 possible connections are refused.

    Differences from the authors' code: the number of connections is exact, where theirs is off by what rounding and
    full layers cost, and corrects itself over the updates; a layer may become full, where theirs stops at 99%; new
    connections start with zero moments in the optimizer, where theirs enter with the dense momentum.

    Args:
        betas: decay of the dense momenta; Adam's own by default.
    """

    needs_dense_gradient = True
    every_step = True
    competes = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.5, "schedule": "cosine"}

    def __init__(self, betas: Sequence[float] = (0.9, 0.999)) -> None:
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ConfigurationError(f"betas={betas!r} are not two numbers in [0, 1).")
        self.betas = (betas[0], betas[1])

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        if weight.numel() > LARGEST_LAYER:
            raise ConfigurationError(
                f"Layer {name!r} has {weight.numel()} possible connections, and topology='snfs' keeps a momentum for "
                f"each, up to {LARGEST_LAYER}. Use 'rigl', which needs no such memory."
            )
        return super().initial_edges(name, weight, budget, generator)

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
        layers = update.layers
        drop = [self._drop(layer, update.moment.fraction) for layer in layers]
        strength = [self._strength(layer) for layer in layers]
        room = [layer.edges.size - layer.edges.nnz + len(slots) for layer, slots in zip(layers, drop, strict=True)]
        grow = share_out(sum(map(len, drop)), strength, room)
        return [self._exchange(layer, slots, count) for layer, slots, count in zip(layers, drop, grow, strict=True)]

    @staticmethod
    def _drop(layer: LayerView, fraction: float) -> Tensor:
        if layer.edges.nnz == layer.edges.size:
            return torch.empty(0, dtype=torch.int64)
        count = min(math.ceil(fraction * layer.edges.nnz), layer.edges.nnz - 1)
        return smallest(layer.weight.abs(), count)

    @staticmethod
    def _momentum(layer: LayerView) -> Tensor:
        """``[out_features, in_features]``, its magnitude."""
        notes = layer.memory.other
        return notes["m"].abs() / (notes["v"].sqrt() + EPSILON)

    def _strength(self, layer: LayerView) -> float:
        """The mean over present connections; full layers take no part."""
        if layer.edges.nnz == layer.edges.size:
            return 0.0
        return float(self._momentum(layer).view(-1)[layer.edges.ids].mean())

    def _exchange(self, layer: LayerView, drop: Tensor, count: int) -> Rewire | None:
        if len(drop) == 0 and count == 0:
            return None
        kept = complement(drop, layer.edges.nnz)
        grown = best_free([(0, self._momentum(layer))], layer, layer.edges.ids[kept], count)
        return Rewire.exchange(layer.edges, kept, grown, keep_regrown=True)
