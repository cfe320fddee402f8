"""Top-K always sparse training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.resting import Resting
from sparse_agents.rules.scores import largest, smallest
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Edges, Moment, Rewire, complement

COMING = "coming"
"""A note from ``update`` to ``new_weights``: what weights that enter B have kept, by position."""


class TopKAST(TopologyRule):
    """Compute with the largest weights, A; give gradients to those and the next largest, B.

    Jayakumar, Pascanu, Rae, Osindero, Elsen, "Top-KAST: Top-K Always Sparse Training", NeurIPS 2020, section 2: every
    ``update_interval`` steps A becomes the largest |θ| and B ⊇ A the largest of a greater number, over the whole
    layer; a weight outside B rests as it is. The loss gets λ(‖θ_A‖² + ‖θ_(B∖A)‖²/D)/2 with D the density of A, so that
    a weight of B∖A has to earn its place. The budget is |A|; stored are |B| connections.

    Differences from the paper: the dense θ is not stored at once. Weights that have left B are remembered, 12 bytes
    each, which in a long run becomes most of the layer; of those never in it the initial value is a hash of their
    position, uniform below the smallest |θ| that B started with.

    Args:
        exploration: |B∖A| / |A|.
        regularisation: λ.
    """

    every_step = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 1.0, "schedule": "constant"}

    def __init__(self, exploration: float = 1.0, regularisation: float = 1e-4) -> None:
        for name, value in (("exploration", exploration), ("regularisation", regularisation)):
            if value < 0:
                raise ConfigurationError(f"{name}={value} is negative.")
        self.exploration, self.regularisation = exploration, regularisation

    def start(self, budget: int, size: int) -> int:
        return min(size, round(budget * (1 + self.exploration)))

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        return layer.start

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        return self.largest_edges(name, weight, budget)

    def largest_edges(self, name: str, weight: Tensor, budget: int) -> Edges:
        shape = (weight.shape[0], weight.shape[1])
        size = weight.abs().reshape(-1)
        ids = largest(size, self.start(budget, weight.numel()))
        return _in_use(Edges.from_ids(ids, shape), size[ids], budget)

    def before_step(self, layer: LayerView) -> None:
        """The regulariser's gradient."""
        if not layer.memory.other:  # before the first step: the weights are the initial ones
            Resting.below(layer.weight, layer.generator).write(layer.memory.other)
        if layer.gradient is None:
            return
        layer.gradient.add_(layer.weight, alpha=self.regularisation)
        if layer.edges.active is not None:
            more = layer.edges.size / layer.budget - 1
            layer.gradient.add_(layer.weight * ~layer.edges.active, alpha=self.regularisation * more)

    def update(self, update: Update) -> Sequence[Rewire | None]:
        return [self._refresh(layer) for layer in update.layers]

    def _refresh(self, layer: LayerView) -> Rewire | None:
        edges, notes = layer.edges, layer.memory.other
        if edges.nnz == edges.size:
            return None if edges.active is None else _reuse(layer)
        count, resting = Resting.read(notes).larger_than(layer.weight, edges)
        if count == 0:
            resting.write(notes)
            return _reuse(layer)
        come, leave = resting.largest(count), smallest(layer.weight.abs(), count)
        rewire = Rewire.exchange(edges, complement(leave, edges.nnz), resting.ids[come], keep_regrown=False)
        values = resting.values[come]
        size = rewire.follow(layer.weight)
        size[rewire.source < 0] = values
        resting.exchange(come, edges.ids[leave], layer.weight[leave]).write(notes)
        notes[COMING] = values
        return replace(rewire, edges=_in_use(rewire.edges, size.abs(), layer.budget))

    def new_weights(self, layer: LayerView, rewire: Rewire) -> Tensor:
        """What weights outside B have kept."""
        return layer.memory.other.pop(COMING, layer.weight[:0])


def _in_use(edges: Edges, size: Tensor, budget: int) -> Edges:
    """Compute with the ``budget`` largest."""
    if budget == edges.nnz:
        return edges
    active = torch.zeros_like(size, dtype=torch.bool)
    active[largest(size, budget)] = True
    return edges.with_active(active)


def _reuse(layer: LayerView) -> Rewire:
    """The same connections, others of them in use."""
    slots = torch.arange(layer.edges.nnz, device=layer.weight.device)
    return Rewire(_in_use(layer.edges, layer.weight.abs(), layer.budget), slots, 0, 0)
