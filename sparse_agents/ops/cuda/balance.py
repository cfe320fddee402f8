"""The order of a row's connections for shared memory to serve them at once."""

from __future__ import annotations

import torch
from torch import Tensor

BANKS = 4
"""Features, modulo this, that four neighbouring threads can read at once."""
TOGETHER = 1024
"""Features that are in shared memory at the same time, where the rows of a layer lead to more of them."""


def balance(row_ptr: Tensor, feature: Tensor, features: int) -> Tensor:
    """A permutation of connections within their rows, after which neighbours differ in their feature modulo 4.

    Four neighbouring threads read 16 of each feature's 32 bytes; they are served together where these lie in different
    banks. A row's connections are dealt out: the first of each residue, then the second of each, ... Those that lead
    to the first 1024 features come first, then those to the next.

    Args:
        row_ptr: ``[rows + 1]``.
        feature: ``[connections]``, what each leads to, ascending within rows.
        features: that they can lead to.

    Returns:
        ``[connections]`` int64: which connection comes at each place.
    """
    count, places = len(feature), torch.arange(len(feature), device=feature.device)
    pieces = -(-features // TOGETHER)
    if pieces > 1:
        if count < BANKS * pieces * (len(row_ptr) - 1):
            return places  # too few to be dealt out
        row_ptr = _cut(row_ptr, feature, pieces)
    residues = torch.arange(BANKS, device=feature.device).unsqueeze(1)
    residue = (feature % BANKS).to(torch.int64)
    # One sum through all residues: of several columns, torch has a thread of a device go through each. Only differences
    # within a residue are asked for.
    seen = torch.zeros(BANKS * count + 1, dtype=torch.int32, device=feature.device)
    torch.cumsum((residue == residues).view(-1), 0, out=seen[1:])
    at_pointer = seen[residues * count + row_ptr]
    rows = torch.arange(len(row_ptr) - 1, device=feature.device)
    row = torch.repeat_interleave(rows, row_ptr.diff(), output_size=count)
    rank = seen[residue * count + places] - at_pointer[residue, row]
    # Before a connection come, of residues below its own, as many as its rank and one; of others, as many as its rank.
    dealt = torch.minimum(at_pointer.diff(dim=1)[:, row], rank + (residues < residue)).sum(0)
    return torch.empty_like(places).scatter_(0, row_ptr[row] + dealt, places)


def _cut(row_ptr: Tensor, feature: Tensor, pieces: int) -> Tensor:
    """Pointers of rows' pieces, each of which leads to as many features as are together."""
    rows = len(row_ptr) - 1
    row = torch.repeat_interleave(torch.arange(rows, device=feature.device), row_ptr.diff(), output_size=len(feature))
    piece = row * pieces + feature // TOGETHER
    return torch.searchsorted(piece, torch.arange(rows * pieces + 1, device=feature.device)).to(row_ptr.dtype)
