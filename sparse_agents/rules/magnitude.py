"""Pruning by magnitude before training."""

from __future__ import annotations

from torch import Tensor

from sparse_agents.rules.pruning import OneShotRule
from sparse_agents.rules.view import LayerView, Update


class Magnitude(OneShotRule):
    """Keep the largest |w| of the initial weights.

    The baseline of Frankle et al., "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?", ICLR
    2021, section 3.

    Differences from the paper: each layer keeps its own budget, where theirs lets layers compete. Initial weights are
    of different scales in layers of different widths, and the wider layer then loses everything
    (``scope="global"``).

    Args:
        scope: see :class:`PruningRule`.
    """

    def __init__(self, scope: str = "layer") -> None:
        super().__init__(scope=scope)

    def observe(self, update: Update) -> None:
        """No data is looked at."""

    def score(self, layer: LayerView) -> Tensor:
        return layer.weight.abs()
