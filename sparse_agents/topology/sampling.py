"""Uniform random connections, exactly as many as asked for, in O(connections)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparse_agents.topology.edges import Edges
from sparse_agents.topology.index_sets import different, without
from sparse_agents.topology.order import HOST, ascending, insertion

FEW = 1024
"""A permutation of so many costs next to nothing."""


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """What draws there: on the processor ``generator`` itself, elsewhere one that has its seed from it.

    So one state, the processor's, is all there is to be saved, and what is drawn need not be carried over.
    """
    if device.type == "cpu":
        return generator
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))


def distinct(high: int, count: int, generator: torch.Generator, device: torch.device = HOST) -> Tensor:
    """``count`` distinct integers of ``range(high)``, uniform over all such sets, sorted. int64, on ``device``.

    Many out of few: a permutation. Few out of many: the values that somewhat more draws with replacement hit, less
    a random set of them. All sets of one size are hit with one probability, so this is exactly uniform. A round that
    hits too few, ten standard deviations from the mean, counts for nothing.
    """
    if not 0 <= count <= high:
        raise ValueError(f"Cannot draw {count} distinct integers out of {high}.")
    if count * 3 >= high or high < FEW:
        return ascending(torch.randperm(high, generator=generator_on(device, generator), device=device)[:count])
    aim = count + 4 * math.isqrt(count) + 16
    draws = math.ceil(-high * math.log1p(-aim / high))
    while True:
        hit = different(torch.randint(high, (draws,), generator=generator_on(device, generator), device=device))
        if len(hit) >= count:
            return without(hit, distinct(len(hit), len(hit) - count, generator, device))


def free_positions(taken: Tensor, ranks: Tensor) -> Tensor:
    """The free linear positions of the given ranks, ``taken`` being sorted and distinct.

    ``taken[i] - i`` positions are free before ``taken[i]``, so a binary search finds how many taken
    ones precede the rank-th free one.
    """
    before = taken - torch.arange(len(taken), device=taken.device)
    return ranks + insertion(before, ranks, right=True)


def random_free(taken: Tensor, size: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` positions out of ``range(size)`` that are not ``taken``, uniformly at random, sorted."""
    ranks = distinct(size - len(taken), count, generator, taken.device)
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
    return ascending(torch.cat(chosen))
