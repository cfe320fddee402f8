"""N connections in every group of M."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import fill_groups, magnitude_drop
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Edges, Moment, full_edges, generator_on, random_in_groups

GROWTHS = ("gradient", "random")


class NM(ExchangeRule):
    """N:M sparsity: each unit has N connections among every M neighbouring inputs, at every moment.

    The pattern of Zhou et al., "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch", ICLR 2021.
    An update drops the ⌊ζ·nnz⌋ smallest |w| and grows as many within the groups that lost them, by |dense gradient|
    (as RigL does) or at random (as SET does). N is what the layer's share of the sparsity comes to, at least 1.

    Differences from the paper: all M weights are kept and trained there, and the N largest used; here, as everywhere in
    this library, only the N are stored.

    Args:
        m: inputs in a group; has to divide every sparse layer's ``in_features``.
        growth: ``"gradient"`` or ``"random"``.
        dynamic: whether connections move at all.
    """

    keep_regrown = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "constant"}

    def __init__(self, m: int = 8, growth: str = "gradient", dynamic: bool = True) -> None:
        if m < 2:
            raise ConfigurationError(f"m={m}: a group has at least 2 inputs.")
        if growth not in GROWTHS:
            raise unknown("growth", growth, GROWTHS)
        self.m, self.growth, self.dynamic = m, growth, dynamic
        self.needs_dense_gradient = dynamic and growth == "gradient"

    def start(self, budget: int, size: int) -> int:
        return min(max(1, round(budget * self.m / size)), self.m) * size // self.m if budget < size else size

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        return layer.start

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        shape = (weight.shape[0], weight.shape[1])
        if budget == weight.numel():
            return full_edges(shape)
        return Edges.from_ids(random_in_groups(self._counts(name, weight, budget), self.m, generator), shape)

    def largest_edges(self, name: str, weight: Tensor, budget: int) -> Edges:
        shape = (weight.shape[0], weight.shape[1])
        if budget == weight.numel():
            return full_edges(shape)
        counts = self._counts(name, weight, budget)
        size = weight.abs().view(-1, self.m)
        return Edges.from_ids(fill_groups([(0, size)], counts.new_empty(0), counts, self.m), shape)

    def _counts(self, name: str, weight: Tensor, budget: int) -> Tensor:
        """``[groups]``, of the connections that each is to have."""
        cols = weight.shape[1]
        if 2 * budget * self.m < weight.numel():
            raise ConfigurationError(
                f"Layer {name!r} is to have {budget} of {weight.numel()} connections, less than half a connection in "
                f"every m={self.m}. Raise m, or lower the sparsity."
            )
        if cols % self.m:
            raise ConfigurationError(
                f"Layer {name!r} has {cols} inputs, which groups of m={self.m} do not divide. Choose another m, or "
                "leave the layer dense with `exclude`."
            )
        groups = weight.numel() // self.m
        return torch.full((groups,), self.start(budget, weight.numel()) // groups)

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return magnitude_drop(layer, fraction)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        n = layer.edges.nnz * self.m // layer.edges.size
        groups = layer.edges.size // self.m
        missing = n - torch.bincount(torch.div(survivors, self.m, rounding_mode="floor"), minlength=groups)
        return fill_groups(self._scores(layer), survivors, missing, self.m)

    def _scores(self, layer: LayerView) -> Iterator[tuple[int, Tensor]]:
        """``(first position, [groups, m])``, none negative, of all groups."""
        if self.growth == "random":
            rows, cols = layer.edges.shape
            step, device = max(1, (1 << 20) // cols), layer.weight.device
            generator = generator_on(device, layer.generator)
            for row in range(0, rows, step):
                many = (min(step, rows - row) * cols) // self.m
                yield row * cols, torch.rand(many, self.m, generator=generator, device=device)
            return
        for row, tile in layer.probe.tiles():
            yield row * layer.edges.shape[1], tile.abs().view(-1, self.m)
