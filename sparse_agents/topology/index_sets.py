"""Sets of indices as sorted, distinct int64 tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_agents.topology.order import ascending, insertion, places


def different(values: Tensor) -> Tensor:
    """The set of some values."""
    ordered = ascending(values)
    first = torch.ones(len(ordered), dtype=torch.bool, device=ordered.device)
    torch.ne(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[places(first)]


def find(where: Tensor, what: Tensor) -> Tensor:
    """The place in ``where`` (a set) of each value of ``what``, -1 for those it lacks."""
    absent = torch.full_like(what, -1)
    if len(where) == 0:
        return absent
    place = insertion(where, what).clamp_(max=len(where) - 1)
    return place.where(where[place] == what, absent)


def without(values: Tensor, at: Tensor) -> Tensor:
    """``values`` but for those at some places."""
    stays = torch.ones(len(values), dtype=torch.bool, device=values.device)
    stays[at] = False
    return values[places(stays)]


def complement(of: Tensor, size: int) -> Tensor:
    """``range(size)`` but for these."""
    return without(torch.arange(size, device=of.device), of)


def merge(one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    """Two tables, as columns by increasing first column, in one. Quickest with the shorter one last."""
    place = insertion(one[0], other[0], right=True) + torch.arange(len(other[0]), device=other[0].device)
    rest = torch.ones(len(one[0]) + len(other[0]), dtype=torch.bool, device=place.device)
    rest[place] = False
    others = places(rest)
    merged = []
    for first, second in zip(one, other, strict=True):
        both = first.new_empty(len(rest))
        both[others], both[place] = first, second
        merged.append(both)
    return merged


def union(one: Tensor, other: Tensor) -> Tensor:
    """Of two sets that have nothing in common."""
    return merge([one], [other])[0]
