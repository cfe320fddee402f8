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
    count, places = len(feature), torch.arange(len(feature), device=feature.device)
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
