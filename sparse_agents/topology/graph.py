"""The live topology of a layer: a holder whose immutable edges are swapped at an update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.errors import CheckpointError
from sparse_agents.topology.edges import Edges


class Topology(nn.Module):
    """Which edges a layer has *now*. Online layer and target network share one instance.

    A module only so that it moves, copies and saves with its layer: ``row_ptr`` and ``col`` are
    buffers, and a state dict of another number of connections loads.
    """

    row_ptr: Tensor
    col: Tensor
    active: Tensor | None
    edges: Edges

    def __init__(self, edges: Edges) -> None:
        super().__init__()
        self.shape = edges.shape
        self.replace(edges)

    @property
    def nnz(self) -> int:
        return self.edges.nnz

    def replace(self, edges: Edges) -> None:
        """Swap in new edges of the same shape. Autograd graphs over the old ones become invalid."""
        if edges.shape != self.shape:
            raise ValueError(f"A topology of shape {self.shape} cannot take edges of shape {edges.shape}.")
        self.register_buffer("row_ptr", edges.row_ptr)
        self.register_buffer("col", edges.col)
        self.register_buffer("active", edges.active)
        self.edges = edges

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Topology:
        super()._apply(fn, recurse)
        if self.col is not self.edges.col:  # moved to another device
            self.edges = Edges(self.shape, self.row_ptr, self.col, self.active)
        return self

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        metadata: Any,
        strict: bool,
        missing: list[str],
        unexpected: list[str],
        errors: list[str],
    ) -> None:
        """Both index arrays or none: they are never copied in place, for others may hold the edges."""
        keys = [prefix + "row_ptr", prefix + "col"]
        missing += [key for key in keys if key not in state_dict]
        known = [*keys, prefix + "active"]
        unexpected += [key for key in state_dict if key.startswith(prefix) and key not in known and strict]
        if all(key in state_dict for key in keys):
            row_ptr, col = (state_dict[key].clone().to(self.col.device) for key in keys)
            edges = Edges.checked(self.shape, row_ptr, col, prefix.rstrip("."))
            active = state_dict.get(prefix + "active")
            if active is not None:
                if active.dtype != torch.bool or active.shape != col.shape:
                    raise CheckpointError(f"{prefix}active does not say of each connection whether it is in use.")
                edges = edges.with_active(active.clone().to(self.col.device))
            self.replace(edges)

    def extra_repr(self) -> str:
        return f"{self.shape[1]} -> {self.shape[0]}, {self.nnz} connections ({self.edges.density:.1%})"
