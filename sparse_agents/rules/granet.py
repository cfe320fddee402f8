"""Gradual pruning with neuroregeneration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import gradient_growth, largest_of_all, smallest
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Moment, Rewire, cubic, without


class GraNet(TopologyRule):
    """Prune over all layers along a cubic curve, and at each update exchange connections within each layer.

    Liu et al., "Sparse Training via Boosting Pruning Plasticity with Neuroregeneration", NeurIPS 2021, algorithm 1:
    every ΔT steps keep the largest |w| over all layers, at the density of the cubic schedule; then drop the ζ
    fraction of each layer's smallest |w| and grow as many with the largest |dense gradient|. The exchange goes on
    when pruning has ended.

    Differences from the authors' code: ⌊ζ·nnz⌋ connections are exchanged, where theirs rounds up, and none is lost to
    ties; the final density is reached exactly; every layer starts at the same density, where theirs can start ERK.

    Args:
        initial_density: of the start, over every layer; 1 begins dense.
        prune_until: the part of the run, from the first update to the last, in which pruning happens.
    """

    needs_dense_gradient = True
    ramps = True
    competes = True
    blocks = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.5, "schedule": "cosine"}

    def __init__(self, initial_density: float = 0.5, prune_until: float = 0.5) -> None:
        for name, value in (("initial_density", initial_density), ("prune_until", prune_until)):
            if not 0 < value <= 1:
                raise ConfigurationError(f"{name}={value} is not in (0, 1].")
        self.initial_density, self.prune_until = initial_density, prune_until

    def start(self, budget: int, size: int) -> int:
        return max(budget, round(self.initial_density * size))

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        return round(cubic(layer.start, layer.budget, min(moment.progress / self.prune_until, 1.0)))

    def update(self, update: Update) -> Sequence[Rewire | None]:
        layers = update.layers
        count = sum(self.wanted(layer, update.moment) for layer in (*layers, *update.unreached))
        count -= sum(layer.edges.nnz for layer in update.unreached)
        kept = largest_of_all([layer.weight.abs() for layer in layers], max(count, len(layers)))
        return [
            self._regenerate(layer, slots, update.moment.fraction) for layer, slots in zip(layers, kept, strict=True)
        ]

    @staticmethod
    def _regenerate(layer: LayerView, kept: torch.Tensor, fraction: float) -> Rewire | None:
        """Of the connections pruning has left, exchange a fraction."""
        weak = smallest(layer.weight.abs()[kept], int(fraction * len(kept)))
        kept = without(kept, weak)
        if len(kept) == layer.edges.nnz:
            return None
        grown = gradient_growth(layer, layer.edges.ids[kept], len(weak))
        return Rewire.exchange(layer.edges, kept, grown, keep_regrown=True)
