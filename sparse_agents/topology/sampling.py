"""Uniform random connections, exactly as many as asked for, in O(connections)."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_agents.topology.edges import Edges


def distinct(high: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` distinct integers of ``range(high)``, uniform over all such sets, sorted. int64.

    Many out of few: a permutation. Few out of many: draw with replacement and keep first
    occurrences, which is sequential rejection done in bulk, so it is exactly uniform and never
    stalls: less than a third of the range is taken.
    """
    if not 0 <= count <= high:
        raise ValueError(f"Cannot draw {count} distinct integers out of {high}.")
    if count * 3 >= high:
        return torch.randperm(high, generator=generator)[:count].sort().values
    drawn = torch.empty(0, dtype=torch.int64)
    while True:
        missing = count - len(drawn)
        more = torch.randint(high, (missing + missing // 2 + 16,), generator=generator)
        drawn = _first_occurrences(torch.cat([drawn, more]))
        if len(drawn) >= count:
            return drawn[:count].sort().values


def _first_occurrences(values: Tensor) -> Tensor:
    ordered, order = values.sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return values[order[first].sort().values]


def free_positions(taken: Tensor, ranks: Tensor) -> Tensor:
    """The free linear positions of the given ranks, ``taken`` being sorted and distinct.

    ``taken[i] - i`` positions are free before ``taken[i]``, so a binary search finds how many taken
    ones precede the rank-th free one.
    """
    before = taken - torch.arange(len(taken), device=taken.device)
    return ranks + torch.searchsorted(before, ranks, right=True)


def random_free(taken: Tensor, size: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` positions out of ``range(size)`` that are not ``taken``, uniformly at random, sorted."""
    ranks = distinct(size - len(taken), count, generator).to(taken.device)
    return free_positions(taken, ranks)


def random_edges(shape: tuple[int, int], nnz: int, generator: torch.Generator) -> Edges:
    """An Erdős–Rényi graph with exactly ``nnz`` connections."""
    return Edges.from_ids(distinct(shape[0] * shape[1], nnz, generator), shape)


CHUNK_ELEMENTS = 1 << 20


def random_in_groups(counts: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Random positions, ``counts[g]`` of them in ``range(g * width, (g + 1) * width)``, sorted. int64.

    A chunk of groups at a time, so memory is O(connections), not O(groups · width).
    """
    step = max(1, CHUNK_ELEMENTS // width)
    chosen = []
    for first in range(0, len(counts), step):
        wanted = counts[first : first + step]
        order = torch.rand(len(wanted), width, generator=generator).argsort(dim=1)
        base = (first + torch.arange(len(wanted))).unsqueeze(1) * width
        chosen.append((order + base)[torch.arange(width) < wanted.unsqueeze(1)])
    return torch.cat(chosen).sort().values
