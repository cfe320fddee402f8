"""Weights that a layer does not store as connections, and those of them that are large enough to become some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_agents.rules.scores import largest
from sparse_agents.topology import Edges, ascending, by_value, kth_smallest, places, window

TILE_ELEMENTS = 1 << 15


@dataclass(frozen=True)
class Resting:
    """The weights outside a layer's connections: the known ones, and a hash for the others.

    A weight that was never a connection rests at its initial value, a hash of its position, uniform in
    (−ceiling, ceiling). Known are those that were connections once, and all others of at least ``level``.

    Attributes:
        ids: ``[known]`` int64, linear positions.
        values: ``[known]``.
        ceiling: float64 scalar.
        level: float64 scalar; what is not known lies below.
        key: int64 scalar, of the hash.
    """

    ids: Tensor
    values: Tensor
    ceiling: Tensor
    level: Tensor
    key: Tensor

    @classmethod
    def below(cls, weight: Tensor, generator: torch.Generator) -> Resting:
        """Nothing known, all of it smaller than the connections."""
        ceiling = weight.abs().min().double()
        key = torch.randint(2**62, (), generator=generator).to(weight.device)
        level = torch.full_like(ceiling, torch.inf)
        return cls(weight.new_empty(0, dtype=torch.int64), weight.new_empty(0), ceiling, level, key)

    @classmethod
    def read(cls, notes: Mapping[str, Tensor]) -> Resting:
        return cls(**notes)

    def write(self, notes: MutableMapping[str, Tensor]) -> None:
        notes.update(vars(self))

    def larger_than(self, weight: Tensor, edges: Edges) -> tuple[int, Resting]:
        """How many of the largest would displace as many smaller connections; with those known among which they are."""
        stored, resting = weight.abs(), self
        while True:
            sizes = resting.values.abs()
            least = kth_smallest(torch.cat([stored, sizes]), len(sizes) + 1)  # among the len(stored) largest
            if least >= resting.level or resting.level == 0:
                stay = min(int((stored >= least).count_nonzero()), len(stored) - int((sizes > least).count_nonzero()))
                return len(stored) - stay, resting
            resting = resting.read_ahead(edges)

    def largest(self, count: int) -> Tensor:
        """Where among those known the ``count`` largest are, by increasing position in the layer."""
        at = largest(self.values.abs(), count)
        return at[by_value(self.ids[at])]

    def exchange(self, at: Tensor, ids: Tensor, values: Tensor) -> Resting:
        """With others in the places of some that become connections."""
        return replace(self, ids=self.ids.index_put((at,), ids), values=self.values.index_put((at,), values))

    def read_ahead(self, edges: Edges) -> Resting:
        """With about as many of the initial values known as there are connections, the largest."""
        unknown = edges.size - edges.nnz - len(self.ids)
        level = self.level.minimum(self.ceiling) * max(1 - edges.nnz / max(unknown, 1), 0.0)
        level = level.to(self.values.dtype).double()  # which sizes are compared in
        found, count = self.ids.new_empty(edges.nnz + 64), 0  # small pieces would leave holes in the heap
        for new in self._positions(level, edges):
            if count + len(new) > len(found):
                found = torch.cat([found, torch.empty_like(found)])
            found[count : count + len(new)] = new
            count += len(new)
        ids = torch.cat([self.ids, found[:count]])
        return replace(self, ids=ids, values=torch.cat([self.values, self.initial(found[:count])]), level=level)

    def _positions(self, level: Tensor, edges: Edges) -> Iterator[Tensor]:
        """Of the unknown weights that are at least ``level``, a piece at a time."""
        taken = [edges.ids, ascending(self.ids)]
        for first in range(0, edges.size, TILE_ELEMENTS):
            last = min(first + TILE_ELEMENTS, edges.size)
            size = self.initial(torch.arange(first, last, device=self.ids.device)).abs_()
            new = (size >= level) & (size < self.level)
            for ids in taken:
                begin, end = window(ids, first, last)
                new[ids[begin:end] - first] = False
            yield first + places(new)

    def initial(self, ids: Tensor) -> Tensor:
        """Values of what was never a connection: 53 bits of a hash of the position (SplitMix64)."""
        z = (ids * -7046029254386353131).add_(self.key)
        _fold(z, 30).mul_(-4658895280553007687)
        _fold(z, 27).mul_(-7723592293110705685)
        bits = _right(_fold(z, 31), 11)
        uniform = bits.double().add_(0.5).mul_(2.0**-52).sub_(1.0)
        return uniform.mul_(self.ceiling).to(self.values.dtype)


def _fold(z: Tensor, by: int) -> Tensor:
    """In place."""
    return z.bitwise_xor_(_right(z, by))


def _right(z: Tensor, by: int) -> Tensor:
    """Shifted, zeros coming in."""
    return (z >> by).bitwise_and_((1 << (64 - by)) - 1)
