"""A random topology that stays."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sparse_agents.rules.base import LayerView, TopologyRule


class Static(TopologyRule):
    """Sparse from the start, never rewired: the baseline every dynamic rule has to beat."""

    dynamic: ClassVar[bool] = False

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return layer.edges.ids[:0]

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        return layer.edges.ids[:0]
