"""The connections of one layer, immutable."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from sparse_agents.errors import CheckpointError
from sparse_agents.topology.index_sets import find
from sparse_agents.topology.order import HOST, places


class Transpose(NamedTuple):
    """The same connections column by column (CSC)."""

    col_ptr: Tensor  # [in_features + 1], int32
    row: Tensor  # [nnz], int32
    slot: Tensor  # [nnz], int32: where in row-major order each entry lies


class Edges:
    """A bipartite graph between ``in_features`` and ``out_features`` units, row-major (CSR).

    A connection's *slot* is its place in row-major order; every per-connection tensor (weights,
    moments, importance ...) is indexed by slot. Instances never change: a topology update makes a
    new one.

    Attributes:
        shape: ``(out_features, in_features)``, as ``nn.Linear.weight``.
        row_ptr: ``[out_features + 1]``, int32.
        col: ``[nnz]``, int32, strictly increasing within a row.
        active: ``[nnz]`` bool, the connections that outputs are computed with; the others are stored and get
            gradients, but count as zero. None: all are.
    """

    def __init__(self, shape: tuple[int, int], row_ptr: Tensor, col: Tensor, active: Tensor | None = None) -> None:
        self.shape = shape
        self.row_ptr = row_ptr
        self.col = col
        self.active = active

    @classmethod
    def from_ids(cls, ids: Tensor, shape: tuple[int, int]) -> Edges:
        """From sorted, distinct linear positions ``row * in_features + col``, ``[nnz]`` int64."""
        rows, cols = shape
        row = torch.div(ids, cols, rounding_mode="floor")
        row_ptr = torch.zeros(rows + 1, dtype=torch.int32, device=ids.device)
        row_ptr[1:] = torch.bincount(row, minlength=rows).cumsum(0)
        edges = cls(shape, row_ptr, (ids - row * cols).to(torch.int32))
        edges.__dict__["ids"] = ids
        return edges

    @classmethod
    def from_mask(cls, mask: Tensor) -> Edges:
        """From a boolean matrix ``[out_features, in_features]``."""
        return cls.from_ids(places(mask.reshape(-1)), (mask.shape[0], mask.shape[1]))

    @classmethod
    def checked(cls, shape: tuple[int, int], row_ptr: Tensor, col: Tensor, name: str) -> Edges:
        """From index arrays somebody else wrote.

        Raises:
            CheckpointError: naming ``name``, when they are not a graph of this shape.
        """
        rows, cols = shape
        problem = None
        if row_ptr.shape != (rows + 1,) or col.ndim != 1:
            problem = f"index arrays of shapes {tuple(row_ptr.shape)} and {tuple(col.shape)}"
        elif any(t.is_floating_point() or t.is_complex() or t.dtype == torch.bool for t in (row_ptr, col)):
            problem = "index arrays that are not integers"
        elif int(row_ptr[0]) != 0 or int(row_ptr[-1]) != len(col) or bool((row_ptr.to(torch.int64).diff() < 0).any()):
            problem = "row pointers that do not count the connections"
        elif len(col) and (int(col.min()) < 0 or int(col.max()) >= cols):
            problem = f"a column outside 0..{cols - 1}"
        else:
            edges = cls(shape, row_ptr.to(torch.int32), col.to(torch.int32))
            if bool((edges.ids.diff() > 0).all()):
                return edges
            problem = "connections that are unsorted or repeated"
        raise CheckpointError(
            f"{name}: {problem} for a layer of {cols} inputs and {rows} outputs. "
            "The file is damaged or was written for another network."
        )

    @property
    def nnz(self) -> int:
        return self.col.shape[0]

    @property
    def size(self) -> int:
        """Connections a dense layer of this shape has."""
        return self.shape[0] * self.shape[1]

    @property
    def density(self) -> float:
        return self.nnz / self.size

    @cached_property
    def row(self) -> Tensor:
        """The output unit of each slot, ``[nnz]`` int64."""
        return self._rows(torch.int64)

    @cached_property
    def ids(self) -> Tensor:
        """Linear positions ``row * in_features + col``, ``[nnz]`` int64, increasing."""
        return self._rows(torch.int64).mul_(self.shape[1]).add_(self.col)

    @cached_property
    def transpose(self) -> Transpose:
        cols = self.shape[1]
        narrow = torch.int16 if cols < 2**15 else torch.int32  # a radix sort: the fewer bytes, the faster
        slot = torch.argsort(self.col.to(narrow), stable=True)
        col_ptr = torch.zeros(cols + 1, dtype=torch.int32, device=self.col.device)
        col_ptr[1:] = torch.bincount(self.col, minlength=cols).cumsum(0)
        return Transpose(col_ptr, self._rows(torch.int32)[slot], slot.to(torch.int32))

    def _rows(self, dtype: torch.dtype) -> Tensor:
        """:attr:`row`, not kept: most rules never ask for it, and it would be a sixth of what a layer holds."""
        every = torch.arange(self.shape[0], dtype=dtype, device=self.col.device)
        return torch.repeat_interleave(every, self.row_ptr.diff().to(torch.int64), output_size=self.nnz)

    def transposed(self) -> Edges:
        """The same connections the other way round; its slots are in the order of ``transpose.slot``."""
        by_column = self.transpose
        return Edges((self.shape[1], self.shape[0]), by_column.col_ptr, by_column.row)

    def find(self, ids: Tensor) -> Tensor:
        """The slots of connections at linear positions, -1 where there is none. int64."""
        return find(self.ids, ids)

    def dense(self, values: Tensor) -> Tensor:
        """Scatter per-slot ``values`` into ``[out_features, in_features]``; zero elsewhere."""
        flat = torch.zeros(self.size, dtype=values.dtype, device=values.device)
        return flat.index_put((self.ids,), values).view(self.shape)

    def mask(self) -> Tensor:
        """Boolean ``[out_features, in_features]``."""
        return self.dense(torch.ones(self.nnz, dtype=torch.bool, device=self.col.device))

    def with_active(self, active: Tensor | None) -> Edges:
        """The same connections, these of them in use."""
        edges = Edges(self.shape, self.row_ptr, self.col, active)
        edges.__dict__.update({k: v for k, v in self.__dict__.items() if k in ("ids", "row", "transpose", "_checked")})
        return edges

    def same_as(self, other: Edges) -> bool:
        return self.shape == other.shape and torch.equal(self.ids, other.ids)

    def __repr__(self) -> str:
        return f"Edges(shape={self.shape}, nnz={self.nnz}, density={self.density:.4g})"


@lru_cache(maxsize=128)
def full_edges(shape: tuple[int, int], device: torch.device = HOST) -> Edges:
    """Every connection; its slot order is that of ``nn.Linear.weight.view(-1)``."""
    return Edges.from_ids(torch.arange(shape[0] * shape[1], device=device), shape)
