"""A layer's connections as kernels go through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from sparse_agents.ops.cuda.balance import balance
from sparse_agents.ops.cuda.geometry import BLOCKS
from sparse_agents.topology import Edges

FEW = 16
"""Connections of a row, which are no outlier's whatever others have."""
_ARRAYS = ("order", "row_ptr", "feature", "slot")


@dataclass(frozen=True)
class Rows:
    """One direction of a layer, its connections in the order of :func:`balance`.

    Where all rows, in groups of four or eight neighbours, lead to the same features, as with a ``block_size``, a group
    is a row here, and each of its connections stands for one of every row.

    Attributes:
        count: of rows, or groups.
        features: that connections can lead to.
        held: connections that launches are for a row to have: those of the longest one, unless it is an outlier.
        order: ``[count]`` int32, rows by the number of their connections, most first.
        row_ptr: ``[count + 1]`` int32.
        feature: ``[connections]`` int32.
        slot: ``[connections · block]`` int32, where the weight of each lies, row by row.
        block: rows of a group; 1: they go alone.
    """

    count: int
    features: int
    held: int
    order: Tensor
    row_ptr: Tensor
    feature: Tensor
    slot: Tensor
    block: int = 1

    @classmethod
    def of(cls, edges: Edges, blocks: bool = True) -> tuple[Rows, Rows]:
        """Those of outputs, for the forward, and those of inputs, for the backward; made once for the same edges.

        Args:
            edges: of the layer.
            blocks: whether to look for rows that go together.
        """
        name = "_device_blocks" if blocks else "_device_rows"
        if name not in edges.__dict__:
            outputs, inputs = edges.shape
            slots = torch.arange(edges.nnz, dtype=torch.int32, device=edges.col.device)
            edges.__dict__[name] = (
                cls._balanced(outputs, inputs, edges.row_ptr, edges.col, slots, blocks),
                cls._balanced(inputs, outputs, *edges.transpose, blocks),
            )
        rows: tuple[Rows, Rows] = edges.__dict__[name]
        return rows

    def copy(self) -> Rows:
        """Elsewhere."""
        return replace(self, **{name: getattr(self, name).clone() for name in _ARRAYS})

    def take(self, others: Rows) -> bool:
        """Put the connections of others where these are, if there are as many."""
        kinds = [(rows.count, rows.features, rows.block, len(rows.feature)) for rows in (self, others)]
        fit = kinds[0] == kinds[1]
        if fit:
            for name in _ARRAYS:
                getattr(self, name).copy_(getattr(others, name))
        return fit

    @classmethod
    def _balanced(cls, count: int, features: int, row_ptr: Tensor, feature: Tensor, slot: Tensor, blocks: bool) -> Rows:
        block = next((size for size in BLOCKS if _together(size, row_ptr, feature)), 1) if blocks else 1
        slot = slot.view(-1, 1)
        if block > 1:
            row_ptr, feature, slot = _grouped(block, row_ptr, feature, slot)
        order = balance(row_ptr, feature, features)
        lengths, count = row_ptr.diff(), count // block
        held = min(int(lengths.max()), max(FEW, 2 * len(feature) // count))
        by_length = lengths.argsort(descending=True, stable=True).to(torch.int32)
        return cls(
            count, features, held, by_length, row_ptr.contiguous(), feature[order], slot[order].reshape(-1), block
        )


FindRows = Callable[[Edges, bool], tuple[Rows, Rows]]
"""As :meth:`Rows.of`."""


class OwnRows:
    """:meth:`Rows.of` for those who will change them: copies, the same for layers of the same edges."""

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[Edges, dict[bool, tuple[Rows, Rows]]] = WeakKeyDictionary()

    def __call__(self, edges: Edges, blocks: bool) -> tuple[Rows, Rows]:
        copies = self._copies.setdefault(edges, {})
        if blocks not in copies:
            by_output, by_input = Rows.of(edges, blocks)
            copies[blocks] = by_output.copy(), by_input.copy()
        return copies[blocks]


def _together(size: int, row_ptr: Tensor, feature: Tensor) -> bool:
    """Whether rows, in groups of this size, all lead to the same features."""
    lengths = row_ptr.diff()
    if len(lengths) % size or len(feature) == 0:
        return False
    by_group = lengths.view(-1, size)
    if not bool((by_group == by_group[:, :1]).all()):
        return False
    first, steps = _first_of_group(size, row_ptr)
    places = torch.arange(len(feature), device=feature.device)
    return bool((feature == feature[places - steps * lengths[first]]).all())


def _first_of_group(size: int, row_ptr: Tensor) -> tuple[Tensor, Tensor]:
    """For each connection the first row of its group, and by how many its own row is behind that."""
    lengths = row_ptr.diff().to(torch.int64)
    row = torch.repeat_interleave(torch.arange(len(lengths), device=row_ptr.device), lengths)
    steps = row % size
    return row - steps, steps


def _grouped(size: int, row_ptr: Tensor, feature: Tensor, slot: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Groups for rows; slots ``[connections, size]``."""
    first, steps = _first_of_group(size, row_ptr)
    lengths = row_ptr.diff().to(torch.int64)
    heads = (steps == 0).nonzero().squeeze(1)
    others = torch.arange(size, device=row_ptr.device) * lengths[first[heads]].unsqueeze(1)
    counts = lengths[::size]
    pointers = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(row_ptr.dtype)
    return pointers, feature[heads], slot.squeeze(1)[heads.unsqueeze(1) + others]
