"""The score of layer-adaptive magnitude pruning, by which weights of different layers can be compared."""

from __future__ import annotations

import torch
from torch import Tensor

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def lamp_score(weight: Tensor) -> Tensor:
    """w² / Σ v² over the entries v that are not smaller (Lee et al. 2021, eq. 3).

    Args:
        weight: ``[n]``; of equal magnitudes the later one counts as larger.

    Returns:
        ``[n]`` float64 in [0, 1]; 1 for the largest.
    """
    square = weight.double() ** 2
    bits = weight.abs().view(_BITS[weight.element_size()])  # of floats that are not negative, in the same order
    order = bits.argsort(stable=True)  # and sorted by radix
    ascending = square[order]
    not_smaller = ascending.flip(0).cumsum(0).flip(0)
    score = torch.empty_like(square)
    score[order] = torch.where(not_smaller > 0, ascending / not_smaller, torch.zeros_like(ascending))
    return score
