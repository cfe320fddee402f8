"""Memory-economic sparse training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import largest, random_growth
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Moment, Rewire

STAGES = ((0.5625, 1.0), (0.75, 0.5), (1.0, 0.0))
"""Up to which part of the run how much of ζ is exchanged: epochs 90 and 120 of the authors' 160."""


class MEST(TopologyRule):
    """Exchange the least important connections for random ones, fewer of them in each of three stages.

    Yuan et al., "MEST: Accurate and Fast Memory-Economic Sparse Training Framework on the Edge", NeurIPS 2021, section
    3.2: importance is |w| + λ|∂L/∂w| (eq. 1); elastic mutation (EM) exchanges ζ, then ζ/2, then nothing; with a soft
    memory bound (EM&S) a layer holds ζ more connections than its budget, which compete with the others at the next
    update, and falls to the budget in the last stage. New connections start at zero, also where one just dropped is
    drawn again. The stages are parts of the way to ``end``: without one, the first goes on for ever.

    Differences from the authors' code: importance there is |w| alone (``gradient_weight=0`` here), and ζ is a
    fraction of the dense layer (2% at 90% sparsity, which is 20% of the connections); their scripts' soft bound holds
    half as many connections again, then a quarter (``drop_fraction=0.5``).

    Args:
        soft: EM&S in place of EM.
        gradient_weight: λ.
    """

    blocks = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.2, "schedule": "constant"}

    def __init__(self, soft: bool = False, gradient_weight: float = 0.01) -> None:
        if gradient_weight < 0:
            raise ConfigurationError(f"gradient_weight={gradient_weight} is negative.")
        self.soft, self.gradient_weight = soft, gradient_weight
        self.ramps = soft

    def _exchanged(self, budget: int, moment: Moment) -> int:
        part = next(part for until, part in STAGES if moment.progress <= until)
        return int(moment.fraction * part * budget)

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        if not self.soft:
            return layer.budget
        return min(layer.budget + self._exchanged(layer.budget, moment), layer.edges.size)

    def importance(self, layer: LayerView) -> Tensor:
        """``[nnz]``"""
        size = layer.weight.abs()
        return size if layer.gradient is None else size + self.gradient_weight * layer.gradient.abs()

    def update(self, update: Update) -> Sequence[Rewire | None]:
        return [self._mutate(layer, update.moment) for layer in update.layers]

    def _mutate(self, layer: LayerView, moment: Moment) -> Rewire | None:
        if layer.budget == layer.edges.size:
            return None
        wanted = self.wanted(layer, moment)
        stay = layer.budget if self.soft else layer.budget - self._exchanged(layer.budget, moment)
        kept = largest(self.importance(layer), stay)
        grow = wanted - len(kept)
        if len(kept) == layer.edges.nnz and grow == 0:
            return None
        grown = random_growth(layer, layer.edges.ids[kept], grow)
        return Rewire.exchange(layer.edges, kept, grown, keep_regrown=False)
