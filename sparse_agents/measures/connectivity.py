"""How units are connected."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_agents.topology import Edges


def degrees(edges: Edges) -> tuple[Tensor, Tensor]:
    """Connections into each output unit, ``[rows]``, and out of each input unit, ``[columns]``; int64."""
    into = edges.row_ptr.diff().to(torch.int64)
    return into, torch.bincount(edges.col, minlength=edges.shape[1])


def input_strength(edges: Edges, weight: Tensor) -> Tensor:
    """Neuron strength of a layer's inputs, ``[columns]``: the sum of the magnitudes of what goes out from each.

    Atashgahi et al., "Quick and Robust Feature Selection", Machine Learning 2022, equation 3: of a network's first
    layer it says which inputs matter.
    """
    sums = torch.zeros(edges.shape[1], dtype=torch.float64, device=weight.device)
    return sums.index_add_(0, edges.col.to(torch.int64), weight.detach().abs().double())


def connectivity(edges: Edges, weight: Tensor, size: int = 128) -> Tensor:
    """A picture of a layer: the mean magnitude of weights in each of at most ``size × size`` blocks of the matrix.

    Absent connections count as zero. O(nnz) work, and memory for the picture.

    Returns:
        ``[min(rows, size), min(columns, size)]``, float64.
    """
    rows, columns = edges.shape
    height, width = min(rows, size), min(columns, size)
    row = edges.row * height // rows
    column = edges.col.to(torch.int64) * width // columns
    block = row * width + column
    sums = torch.zeros(height * width, dtype=torch.float64, device=weight.device)
    sums.index_add_(0, block, weight.detach().abs().double())
    of_row = torch.bincount(torch.arange(rows, device=row.device) * height // rows, minlength=height)
    of_column = torch.bincount(torch.arange(columns, device=row.device) * width // columns, minlength=width)
    return sums.view(height, width) / (of_row[:, None] * of_column[None, :])
