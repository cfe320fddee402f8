"""Single-shot network pruning."""

from __future__ import annotations

from torch import Tensor

from sparse_agents.rules.pruning import OneShotRule
from sparse_agents.rules.view import LayerView


class SNIP(OneShotRule):
    """Keep the connections whose removal would change the loss most: the largest |w · ∂L/∂w|.

    Lee, Ajanthan, Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019, eq. 5
    (the normalisation there does not change the order). Compared over all layers.

    Differences from the authors' code: biases are never pruned here.
    """

    blocks = False

    def score(self, layer: LayerView) -> Tensor:
        return (layer.weight * self.gradient(layer)).abs()
