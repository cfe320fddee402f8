"""Gradual magnitude pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from sparse_agents.rules.pruning import PruningRule
from sparse_agents.rules.view import LayerView


class GMP(PruningRule):
    """From dense to the budget along a cubic curve, the smallest |w| going at every update.

    Zhu & Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2017, eq. 1;
    in reinforcement learning Graesser et al. (2022), who prune between 20% and 80% of the run: give ``begin`` and
    ``end``.
    """

    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 1.0, "schedule": "constant"}

    def score(self, layer: LayerView) -> Tensor:
        return layer.weight.abs()
