"""Gradient signal preservation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.rules.pruning import OneShotRule
from sparse_agents.rules.view import LayerView, Update


class GraSP(OneShotRule):
    """Keep the connections whose removal would weaken the gradient: remove the largest −w · Hg.

    Wang, Zhang, Grosse, "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR 2020, eq. 8, with H
    the Hessian of the loss and g its gradient. Compared over all layers; in policies within each, as SNIP.

    Differences from the authors' code: logits are not divided by a temperature of 200, for the loss is the user's
    own; with several minibatches the products H_b g_b of each are summed.
    """

    needs_curvature = True
    blocks = False
    reinforcement_options: ClassVar[Mapping[str, Any]] = {"scope": "layer"}

    def observe(self, update: Update) -> None:
        for layer in update.layers:
            if layer.curvature is not None:
                notes = layer.memory.slots
                notes["curvature"] = notes.get("curvature", torch.zeros_like(layer.weight)) + layer.curvature

    def score(self, layer: LayerView) -> Tensor:
        return layer.weight * self.noted(layer, "curvature")
