"""The order of a row's connections for shared memory to serve them at once."""

from __future__ import annotations

import torch
from torch import Tensor

BANKS = 4
"""Features, modulo this, that four neighbouring threads can read at once."""


def balance(row_ptr: Tensor, feature: Tensor) -> Tensor:
    """A permutation of connections within their rows, after which neighbours differ in their feature modulo 4.

    Four neighbouring threads read 16 of each feature's 32 bytes; they are served together where these lie in different
    banks. A row's connections are dealt out: the first of each residue, then the second of each, ...

    Args:
        row_ptr: ``[rows + 1]``.
        feature: ``[connections]``, what each leads to.

    Returns:
        ``[connections]`` int64: which connection comes at each place.
    """
    counts = row_ptr.diff().to(torch.int64)
    row = torch.repeat_interleave(torch.arange(len(counts), device=feature.device), counts)
    residue = feature.to(torch.int64) % BANKS
    bucket, order = torch.sort(row * BANKS + residue, stable=True)
    begins = torch.searchsorted(bucket, bucket)
    rank = torch.arange(len(order), device=feature.device) - begins
    turn = torch.sort(rank * BANKS + residue[order], stable=True)[1]
    by_turn = order[turn]
    return by_turn[torch.sort(row[by_turn], stable=True)[1]]
