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
    residues = torch.arange(BANKS, device=feature.device)
    residue = (feature % BANKS).to(torch.int64)
    seen = torch.zeros(len(feature) + 1, BANKS, dtype=torch.int32, device=feature.device)
    torch.cumsum(residue.unsqueeze(1) == residues, 0, out=seen[1:])
    at_pointer = seen[row_ptr.to(torch.int64)]
    row = torch.repeat_interleave(torch.arange(len(row_ptr) - 1, device=feature.device), row_ptr.diff())
    own, places = residue.unsqueeze(1), torch.arange(len(feature), device=feature.device)
    rank = seen[:-1].gather(1, own) - at_pointer[row].gather(1, own)
    # Before a connection come, of residues below its own, as many as its rank and one; of others, as many as its rank.
    dealt = torch.minimum(at_pointer.diff(dim=0)[row], rank + (residues < own)).sum(1)
    return torch.empty_like(places).scatter_(0, row_ptr[row] + dealt, places)
