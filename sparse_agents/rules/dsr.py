"""Dynamic sparse reparameterization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import largest, random_growth, smallest
from sparse_agents.rules.shares import share_out
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Rewire, complement, places


class DSR(TopologyRule):
    """One threshold for all layers decides what goes, and layers that keep much get much.

    Mostafa & Wang, "Parameter Efficient Training of Deep Convolutional Neural Networks by Dynamic Sparse
    Reparameterization", ICML 2019, algorithm 1: drop |w| < H; where fewer than (1 − δ)·ζ·N connections went, double
    H, where more than (1 + δ)·ζ·N, halve it; grow as many at random, shared out over layers in proportion to what
    each has left, never a connection just dropped. What a full layer cannot take the others get.

    Differences from the paper: the number of connections is exact, and where the layers' free places are too few for
    all that falls below H, the larger of those stay.

    Args:
        threshold: the first H.
        tolerance: δ.
    """

    competes = True
    blocks = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.01, "schedule": "constant"}

    def __init__(self, threshold: float = 1e-3, tolerance: float = 0.1) -> None:
        if threshold <= 0:
            raise ConfigurationError(f"threshold={threshold} is not positive.")
        if not 0 <= tolerance < 1:
            raise ConfigurationError(f"tolerance={tolerance} is not in [0, 1).")
        self.threshold, self.tolerance = threshold, tolerance

    def update(self, update: Update) -> Sequence[Rewire | None]:
        notes = update.memory.other
        threshold = notes.get("threshold", torch.tensor(self.threshold, dtype=torch.float64))
        layers = update.layers
        dropped = [self._below(layer, float(threshold)) for layer in layers]
        count = sum(map(len, dropped))
        target = update.moment.fraction * sum(layer.edges.nnz for layer in layers)
        if count < (1 - self.tolerance) * target:
            notes["threshold"] = threshold * 2
        elif count > (1 + self.tolerance) * target:
            notes["threshold"] = threshold / 2
        else:
            notes["threshold"] = threshold
        room = [layer.edges.size - layer.edges.nnz for layer in layers]
        if count > sum(room):
            dropped = self._spare(layers, dropped, count - sum(room))
        left = [layer.edges.nnz - len(slots) for layer, slots in zip(layers, dropped, strict=True)]
        grow = share_out(sum(map(len, dropped)), left, room)
        return [
            self._exchange(layer, slots, number) for layer, slots, number in zip(layers, dropped, grow, strict=True)
        ]

    @staticmethod
    def _below(layer: LayerView, threshold: float) -> Tensor:
        """Slots below the threshold, but not the last of a layer."""
        size = layer.weight.abs()
        slots = places(size < threshold)
        return smallest(size, layer.edges.nnz - 1) if len(slots) == layer.edges.nnz else slots

    @staticmethod
    def _spare(layers: Sequence[LayerView], dropped: Sequence[Tensor], count: int) -> list[Tensor]:
        """Without the ``count`` largest over all layers."""
        sizes = [layer.weight.abs()[slots] for layer, slots in zip(layers, dropped, strict=True)]
        spared = torch.zeros(sum(map(len, dropped)), dtype=torch.bool)
        spared[largest(torch.cat(sizes), count)] = True
        parts = spared.split([len(slots) for slots in dropped])
        return [slots[~part] for slots, part in zip(dropped, parts, strict=True)]

    @staticmethod
    def _exchange(layer: LayerView, drop: Tensor, grow: int) -> Rewire | None:
        if len(drop) == 0 and grow == 0:
            return None
        kept = complement(drop, layer.edges.nnz)
        return Rewire.exchange(layer.edges, kept, random_growth(layer, layer.edges.ids, grow), keep_regrown=False)
