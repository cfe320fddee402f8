"""Pruning by magnitude before training."""

from __future__ import annotations

from torch import Tensor

from sparse_agents.rules.pruning import OneShotRule
from sparse_agents.rules.view import LayerView, Update


class Magnitude(OneShotRule):
    """Keep the largest |w| of the initial weights: the baseline of Frankle et al., "Pruning Neural Networks at

    Initialization: Why Are We Missing the Mark?", ICLR 2021, section 3.
    """

    def observe(self, update: Update) -> None:
        """No data is looked at."""

    def score(self, layer: LayerView) -> Tensor:
        return layer.weight.abs()
