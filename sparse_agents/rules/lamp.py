"""Layer-adaptive magnitude pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from sparse_agents.rules.pruning import PruningRule
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import lamp_score


class LAMP(PruningRule):
    """From dense to the budget along a cubic curve, the lowest LAMP scores over all layers going first.

    Lee, Park, Mo, Ahn, Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, eq. 3:
    w² divided by the sum of the squares of the weights of its layer that are not smaller.

    Differences from the authors' code: pruning is gradual, where theirs prunes, retrains and repeats.
    """

    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 1.0, "schedule": "constant"}

    def __init__(self) -> None:
        super().__init__(scope="global")

    def score(self, layer: LayerView) -> Tensor:
        return lamp_score(layer.weight)
