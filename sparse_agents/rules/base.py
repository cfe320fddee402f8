"""What a topology rule is: which connections go, and which come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.ops import GradientProbe
from sparse_agents.topology import Edges, Rewire, random_free


@dataclass(frozen=True)
class LayerView:
    """One layer at the moment of an update.

    Attributes:
        name: for messages.
        edges: its connections.
        weight: ``[nnz]``.
        probe: the (input, output gradient) pairs of the last backward, for rules that need them.
        generator: the only source of randomness a rule may use.
    """

    name: str
    edges: Edges
    weight: Tensor
    probe: GradientProbe
    generator: torch.Generator


class TopologyRule(ABC):
    """A drop criterion and a grow criterion. One instance serves all layers.

    The number of connections is kept exactly: as many grow as are dropped. Layers that have every
    connection are left alone, for there is nowhere to move one.
    """

    dynamic: ClassVar[bool] = True
    """Whether the topology ever changes."""
    needs_dense_gradient: ClassVar[bool] = False
    """Whether ``grow`` reads ``layer.probe``."""
    replaces_step: ClassVar[bool] = False
    """Whether the update takes the place of that optimizer step, or follows it."""
    keep_regrown: bool = False
    """Whether a connection that is dropped and grown at once keeps its value and moments."""
    published: ClassVar[dict[str, Any]] = {}
    """The paper's schedule for supervised learning: ``update_interval``, ``drop_fraction``, ``schedule``."""

    @abstractmethod
    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        """Slots to drop, int64, distinct."""

    @abstractmethod
    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        """``count`` linear positions to grow, none of them in ``survivors`` (sorted, int64)."""

    def update(self, layer: LayerView, fraction: float) -> Rewire | None:
        """The rewiring of one layer, or None where there is nothing to do."""
        if layer.edges.nnz == layer.edges.size:
            return None
        if not bool(torch.isfinite(layer.weight).all()):
            raise ConfigurationError(
                f"Layer {layer.name!r} has weights that are not finite: training has diverged. Lower the learning "
                "rate or clip gradients."
            )
        drop = self.drop(layer, fraction)
        if len(drop) == 0:
            return None
        survives = torch.ones(layer.edges.nnz, dtype=torch.bool, device=drop.device)
        survives[drop] = False
        grown = self.grow(layer, layer.edges.ids[survives], len(drop))
        return Rewire.exchange(layer.edges, drop, grown, self.keep_regrown)


def smallest(scores: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` smallest, ties by index, never more. O(n)."""
    if count <= 0:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    if count >= len(scores):
        return torch.arange(len(scores), device=scores.device)
    threshold = scores.kthvalue(count).values
    below = (scores < threshold).nonzero().squeeze(1)
    ties = (scores == threshold).nonzero().squeeze(1)
    return torch.cat([below, ties[: count - len(below)]]).sort().values


def magnitude_drop(layer: LayerView, fraction: float) -> Tensor:
    """The ⌊ζ·nnz⌋ connections of smallest |w|."""
    return smallest(layer.weight.detach().abs(), int(fraction * layer.edges.nnz))


def random_growth(layer: LayerView, survivors: Tensor, count: int) -> Tensor:
    """Uniform among all positions no survivor occupies, just-dropped ones included."""
    return random_free(survivors, layer.edges.size, count, layer.generator)


def gradient_growth(layer: LayerView, survivors: Tensor, count: int) -> Tensor:
    """The largest |dense gradient| among the positions no survivor occupies, ties by position.

    Tiles of the dense gradient stream through a running top-k; O(tile + count) memory.
    """
    cols = layer.edges.shape[1]
    best_score = torch.empty(0, dtype=layer.weight.dtype, device=layer.weight.device)
    best_id = torch.empty(0, dtype=torch.int64, device=layer.weight.device)
    for first, tile in layer.probe.tiles():
        score = tile.abs().reshape(-1)
        begin, end = torch.searchsorted(survivors, torch.tensor([first * cols, first * cols + len(score)])).tolist()
        score[survivors[begin:end] - first * cols] = -1.0
        chosen = smallest(-score, count)
        chosen = chosen[score[chosen] >= 0]
        best_score = torch.cat([best_score, score[chosen]])
        best_id = torch.cat([best_id, chosen + first * cols])
        keep = smallest(-best_score, count)
        best_score, best_id = best_score[keep], best_id[keep]
    return best_id
