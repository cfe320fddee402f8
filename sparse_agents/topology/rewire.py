"""The result of a topology update, and how everything attached to the connections follows it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_agents.topology.edges import Edges
from sparse_agents.topology.index_sets import merge
from sparse_agents.topology.order import ascending


@dataclass(frozen=True, eq=False)
class Rewire:
    """From old edges to new ones.

    Attributes:
        edges: the new edges.
        source: ``[edges.nnz]`` int64, the old slot whose value each new slot keeps; -1 for a new edge.
        dropped: connections that are gone.
        grown: connections that were not there before.
    """

    edges: Edges
    source: Tensor
    dropped: int
    grown: int

    @classmethod
    def exchange(cls, old: Edges, kept: Tensor, grow: Tensor, keep_regrown: bool) -> Rewire:
        """Drop all slots but some, grow positions.

        Args:
            old: the edges before.
            kept: slots that stay, int64, sorted.
            grow: linear positions to grow, int64, distinct; free ones, or those of dropped slots.
            keep_regrown: whether a connection that is dropped and grown again keeps its value and
                moments (RigL) or starts afresh (SET).
        """
        grow = ascending(grow)
        origin = old.find(grow)
        again = int((origin >= 0).sum())
        if not keep_regrown:
            origin = torch.full_like(grow, -1)
        ids, source = merge((old.ids[kept], kept), (grow, origin))
        return cls(Edges.from_ids(ids, old.shape), source, old.nnz - len(kept) - again, len(grow) - again)

    @classmethod
    def keep(cls, old: Edges, kept: Tensor) -> Rewire:
        """Drop all slots but ``kept`` (int64, sorted)."""
        return cls(Edges.from_ids(old.ids[kept], old.shape), kept, old.nnz - len(kept), 0)

    @classmethod
    def to(cls, old: Edges, ids: Tensor) -> Rewire:
        """From ``old`` to the connections at ``ids`` (sorted, distinct, int64); those that stay keep everything."""
        source = old.find(ids)
        kept = int((source >= 0).sum())
        return cls(Edges.from_ids(ids, old.shape), source, old.nnz - kept, len(ids) - kept)

    def follow(self, tensor: Tensor, fill: float = 0.0) -> Tensor:
        """Any per-slot tensor, ``[old nnz, ...]``, in the new slots; ``fill`` on new edges."""
        last = tensor.new_full((1, *tensor.shape[1:]), fill)
        return torch.cat([tensor, last])[self.source]

    def carry(self, tensor: Tensor) -> Tensor:
        """:meth:`follow`, in the same memory where there are as many slots as before: who knows where that is need
        not be told.
        """
        moved = self.follow(tensor)
        return tensor.copy_(moved) if moved.shape == tensor.shape else moved
