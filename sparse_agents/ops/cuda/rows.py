"""A layer's connections as kernels go through them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_agents.ops.cuda.balance import balance
from sparse_agents.topology import Edges


@dataclass(frozen=True)
class Rows:
    """One direction of a layer, its connections in the order of :func:`balance`.

    Attributes:
        count: of rows.
        features: that connections can lead to.
        longest: connections of the row that has most.
        row_ptr: ``[count + 1]`` int32.
        feature: ``[connections]`` int32.
        slot: ``[connections]`` int32, where the weight of each lies.
    """

    count: int
    features: int
    longest: int
    row_ptr: Tensor
    feature: Tensor
    slot: Tensor

    @classmethod
    def of(cls, edges: Edges) -> tuple[Rows, Rows]:
        """Those of outputs, for the forward, and those of inputs, for the backward; made once for the same edges."""
        if "_device_rows" not in edges.__dict__:
            outputs, inputs = edges.shape
            slots = torch.arange(edges.nnz, dtype=torch.int32, device=edges.col.device)
            edges.__dict__["_device_rows"] = (
                cls._balanced(outputs, inputs, edges.row_ptr, edges.col, slots),
                cls._balanced(inputs, outputs, *edges.transpose),
            )
        rows: tuple[Rows, Rows] = edges.__dict__["_device_rows"]
        return rows

    @classmethod
    def _balanced(cls, count: int, features: int, row_ptr: Tensor, feature: Tensor, slot: Tensor) -> Rows:
        order = balance(row_ptr, feature)
        return cls(count, features, int(row_ptr.diff().max()), row_ptr.contiguous(), feature[order], slot[order])
