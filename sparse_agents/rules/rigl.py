"""Rigging the lottery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import gradient_growth, magnitude_drop
from sparse_agents.rules.view import LayerView


class RigL(ExchangeRule):
    """Remove the smallest weights, grow where the dense gradient is largest.

    Evci et al., "Rigging the Lottery: Making All Tickets Winners", ICML 2020, algorithm 1. Every ΔT
    steps, *instead of* the optimizer's step: drop the ⌊ζ·nnz⌋ smallest |w|; among all positions but
    the survivors grow those with the largest |gradient|. A connection dropped and grown at once keeps
    its weight and moments; a really new one starts at zero with zero moments.

    Differences from the authors' code: ties go by slot, where they add noise of 1e-5 to the scores.
    """

    needs_dense_gradient = True
    replaces_step = True
    keep_regrown = True
    blocks = True
    itop = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "cosine"}

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return magnitude_drop(layer, fraction)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        return gradient_growth(layer, survivors, count)
