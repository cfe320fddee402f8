"""Top-K always sparse training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import best_free, largest
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Edges, Moment, Rewire, complement, find, merge, union, without

TILE_ELEMENTS = 1 << 20


class TopKAST(TopologyRule):
    """Compute with the largest weights, A; give gradients to those and the next largest, B.

    Jayakumar, Pascanu, Rae, Osindero, Elsen, "Top-KAST: Top-K Always Sparse Training", NeurIPS 2020, section 2: every
    ``update_interval`` steps A becomes the largest |θ| and B ⊇ A the largest of a greater number, over the whole
    layer; a weight outside B rests as it is. The loss gets λ(‖θ_A‖² + ‖θ_(B∖A)‖²/D)/2 with D the density of A, so that
    a weight of B∖A has to earn its place. The budget is |A|; stored are |B| connections.

    The dense θ is not stored at once. Weights that have left B are remembered by position, 12 bytes each, which in a
    long run becomes most of the layer; of those never in it the initial value is a hash of their position, uniform
    below the smallest |θ| that B started with.

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
        shape = (weight.shape[0], weight.shape[1])
        size = weight.abs().reshape(-1)
        ids = largest(size, self.start(budget, weight.numel()))
        return _in_use(Edges.from_ids(ids, shape), size[ids], budget)

    def before_step(self, layer: LayerView) -> None:
        """The regulariser's gradient."""
        notes = layer.memory.other
        if "ceiling" not in notes:  # before the first step: the weights are the initial ones
            notes["ceiling"] = layer.weight.abs().min().double()
            notes["key"] = torch.randint(2**62, (), generator=layer.generator)
            notes["left"] = torch.empty(0, dtype=torch.int64)
            notes["value"] = layer.weight.new_empty(0)
        if layer.gradient is None:
            return
        factor = torch.ones_like(layer.weight)
        if layer.edges.active is not None:
            density = layer.budget / layer.edges.size
            factor.masked_fill_(~layer.edges.active, 1 / density)
        layer.gradient.add_(factor * layer.weight, alpha=self.regularisation)

    def update(self, update: Update) -> Sequence[Rewire | None]:
        return [self._refresh(layer) for layer in update.layers]

    def _refresh(self, layer: LayerView) -> Rewire | None:
        edges, notes = layer.edges, layer.memory.other
        if edges.nnz == edges.size:
            return None if edges.active is None else _reuse(layer)
        ids = torch.cat([edges.ids, notes["left"]])
        size = torch.cat([layer.weight, notes["value"]]).abs()
        wanted = edges.nnz - int((size >= notes["ceiling"]).sum())  # those never seen lie below
        if wanted > 0:
            unseen = best_free(_initial_tiles(layer), layer, union(edges.ids, notes["left"]), wanted)
            ids = torch.cat([ids, unseen])
            size = torch.cat([size, _initial_values(layer, unseen).abs()])
        chosen = largest(size, edges.nnz)
        chosen = chosen[ids[chosen].argsort()]
        rewire = Rewire.to(edges, ids[chosen])
        return replace(rewire, edges=_in_use(rewire.edges, size[chosen], layer.budget))

    def new_weights(self, layer: LayerView, rewire: Rewire) -> Tensor:
        """What weights outside B have kept; and those that leave it now are remembered."""
        notes = layer.memory.other
        come = rewire.edges.ids[rewire.source < 0]
        values = _initial_values(layer, come)
        place = find(notes["left"], come)
        back, place = place >= 0, place[place >= 0]
        values[back] = notes["value"][place]
        gone = complement(rewire.source[rewire.source >= 0], layer.edges.nnz)
        notes["left"], notes["value"] = merge(
            (without(notes["left"], place), without(notes["value"], place)),
            (layer.edges.ids[gone], layer.weight[gone]),
        )
        return values


def _in_use(edges: Edges, size: Tensor, budget: int) -> Edges:
    """Compute with the ``budget`` largest."""
    if budget == edges.nnz:
        return edges
    active = torch.zeros(edges.nnz, dtype=torch.bool)
    active[largest(size, budget)] = True
    return edges.with_active(active)


def _reuse(layer: LayerView) -> Rewire:
    """The same connections, others of them in use."""
    slots = torch.arange(layer.edges.nnz)
    return Rewire(_in_use(layer.edges, layer.weight.abs(), layer.budget), slots, 0, 0)


def _initial_values(layer: LayerView, ids: Tensor) -> Tensor:
    """Of weights never stored, uniform in (−ceiling, ceiling): 53 bits of a hash of the position (SplitMix64)."""
    z = ids * -7046029254386353131 + layer.memory.other["key"]
    z = (z ^ _shift(z, 30)) * -4658895280553007687
    z = (z ^ _shift(z, 27)) * -7723592293110705685
    bits = _shift(z ^ _shift(z, 31), 11)
    uniform = (bits.double() + 0.5) * 2.0**-52 - 1.0
    return (uniform * layer.memory.other["ceiling"]).to(layer.weight.dtype)


def _shift(z: Tensor, by: int) -> Tensor:
    """To the right, zeros coming in."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _initial_tiles(layer: LayerView) -> Iterator[tuple[int, Tensor]]:
    rows, cols = layer.edges.shape
    step = max(1, TILE_ELEMENTS // cols)
    for first in range(0, rows, step):
        many = min(step, rows - first)
        yield first, _initial_values(layer, torch.arange(first * cols, (first + many) * cols)).abs_().view(many, cols)
