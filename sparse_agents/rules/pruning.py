"""Rules that only remove: from dense to the budget, gradually or at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import largest, largest_of_all
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Moment, Rewire, Schedule, cubic

SCOPES = ("layer", "global")
"""Whether connections compete within their layer, or over all layers of the optimizer."""


class PruningRule(TopologyRule):
    """Keeps the connections of highest score, fewer at every update.

    Args:
        scope: ``"layer"``: every layer falls to its own budget; ``"global"``: the best over all layers stay, and
            only their sum is the budget.
    """

    ramps = True
    blocks = True

    def __init__(self, scope: str = "layer") -> None:
        if scope not in SCOPES:
            raise unknown("scope", scope, SCOPES)
        self.scope = scope
        self.competes = scope == "global"

    @abstractmethod
    def score(self, layer: LayerView) -> Tensor:
        """``[nnz]``; the lowest go."""

    def start(self, budget: int, size: int) -> int:
        return size

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        return round(cubic(layer.start, layer.budget, moment.progress))

    def update(self, update: Update) -> Sequence[Rewire | None]:
        counts = [self.wanted(layer, update.moment) for layer in update.layers]
        scores = [self.score(layer) for layer in update.layers]
        return keep_best(update.layers, scores, counts, self.scope)


def keep_best(
    layers: Sequence[LayerView], scores: Sequence[Tensor], counts: Sequence[int], scope: str
) -> list[Rewire | None]:
    """Prune every layer to its count, or all of them to the sum of the counts."""
    if scope == "global":
        kept = largest_of_all(scores, sum(counts))
    else:
        kept = [largest(score, count) for score, count in zip(scores, counts, strict=True)]
    return [
        None if len(slots) == layer.edges.nnz else Rewire.keep(layer.edges, slots)
        for layer, slots in zip(layers, kept, strict=True)
    ]


class OneShotRule(PruningRule):
    """Starts dense, looks at the first minibatches, and prunes to the budget before the first real step.

    The optimizer steps of those minibatches are left out, so that all of them see the initial weights.

    Args:
        batches: minibatches whose gradients are summed before the decision.
        scope: see :class:`PruningRule`.
    """

    replaces_step = True
    ramps = False
    timed = False
    published: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, batches: int = 1, scope: str = "global") -> None:
        super().__init__(scope)
        if batches < 1:
            raise ConfigurationError(f"batches={batches}: at least 1 minibatch to judge connections by.")
        self.batches = batches

    def schedule(self, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Schedule:
        """The first steps; the timing options of dynamic rules mean nothing here, but have to be sound."""
        super().schedule(options, {**TopologyRule.published, **defaults})
        return Schedule(update_interval=1, drop_fraction=1.0, begin=1, end=self.batches)

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        return layer.budget if moment.progress == 1 else layer.start

    def observe(self, update: Update) -> None:
        """Take notes on one minibatch: the sum of the gradients, ``layer.memory.slots["gradient"]``."""
        for layer in update.layers:
            if layer.gradient is not None:
                notes = layer.memory.slots
                notes["gradient"] = notes.get("gradient", torch.zeros_like(layer.weight)) + layer.gradient

    def noted(self, layer: LayerView, note: str) -> Tensor:
        """``[nnz]``, of ``layer.memory.slots``.

        Raises:
            ConfigurationError: where there is none, for no backward came.
        """
        if note not in layer.memory.slots:
            raise ConfigurationError(
                f"{type(self).__name__} cannot judge layer {layer.name!r}, which no backward has reached. Call "
                "loss.backward() before each optimizer step, or leave the layer out with `exclude`."
            )
        return layer.memory.slots[note]

    def scores(self, update: Update) -> list[Tensor]:
        """Per layer, once all minibatches are seen."""
        return [self.score(layer) for layer in update.layers]

    def update(self, update: Update) -> Sequence[Rewire | None]:
        self.observe(update)
        if update.moment.progress < 1:
            return [None] * len(update.layers)
        counts = [self.wanted(layer, update.moment) for layer in update.layers]
        scores = self.scores(update)
        if not any(bool(score.any()) for score in scores):
            raise ConfigurationError(
                f"{type(self).__name__}: the gradients that came are zero, as an actor's are when its critic has lost "
                "every connection to the action. scope='layer' leaves every layer its share."
            )
        rewires = keep_best(update.layers, scores, counts, self.scope)
        for layer in update.layers:
            layer.memory.slots.clear()
        return rewires
