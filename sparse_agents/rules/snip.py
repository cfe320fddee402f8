"""Single-shot network pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from sparse_agents.rules.pruning import OneShotRule
from sparse_agents.rules.view import LayerView


class SNIP(OneShotRule):
    """Keep the connections whose removal would change the loss most: the largest |w · ∂L/∂w|.

    Lee, Ajanthan, Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019, eq. 5
    (the normalisation there does not change the order). Compared over all layers; in policies within each, for over
    all layers a critic may lose every connection to the action, and the actor its gradient.

    Differences from the authors' code: biases are never pruned here.
    """

    blocks = False
    reinforcement_options: ClassVar[Mapping[str, Any]] = {"scope": "layer"}

    def score(self, layer: LayerView) -> Tensor:
        return (layer.weight * self.noted(layer, "gradient")).abs()
