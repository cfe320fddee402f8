"""The result of a topology update, and how everything attached to the connections follows it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_agents.topology.edges import Edges


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
    def exchange(cls, old: Edges, drop: Tensor, grow: Tensor, keep_regrown: bool) -> Rewire:
        """Drop slots, grow positions.

        Args:
            old: the edges before.
            drop: slots to drop, int64.
            grow: linear positions to grow, int64; free ones, or those of dropped slots.
            keep_regrown: whether a connection that is dropped and grown again keeps its value and
                moments (RigL) or starts afresh (SET).
        """
        device = old.col.device
        survives = torch.ones(old.nnz, dtype=torch.bool, device=device)
        survives[drop] = False
        kept = survives.nonzero().squeeze(1)
        ids = torch.cat([old.ids[kept], grow])
        source = torch.cat([kept, torch.full_like(grow, -1)])
        regrown = torch.isin(grow, old.ids[drop])
        if keep_regrown:
            source[len(kept) :][regrown] = torch.searchsorted(old.ids, grow[regrown])
        ids, order = ids.sort()
        again = int(regrown.sum())
        return cls(Edges.from_ids(ids, old.shape), source[order], len(drop) - again, len(grow) - again)

    @classmethod
    def to(cls, old: Edges, ids: Tensor) -> Rewire:
        """From ``old`` to the connections at ``ids`` (sorted, distinct, int64); those that stay keep everything."""
        place = torch.searchsorted(old.ids, ids).clamp(max=max(old.nnz - 1, 0))
        stays = old.ids[place] == ids
        kept = int(stays.sum())
        return cls(
            Edges.from_ids(ids, old.shape), place.where(stays, torch.full_like(place, -1)), old.nnz - kept,
            len(ids) - kept,
        )  # fmt: skip

    def follow(self, tensor: Tensor, fill: float = 0.0) -> Tensor:
        """Any per-slot tensor, ``[old nnz, ...]``, in the new slots; ``fill`` on new edges."""
        moved = tensor[self.source.clamp(min=0)] if len(tensor) else tensor.new_zeros(len(self.source))
        new = self.source < 0
        return moved.masked_fill(new.view(-1, *[1] * (moved.ndim - 1)), fill)
