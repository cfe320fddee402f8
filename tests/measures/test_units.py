"""Dormant units and effective ranks, by hand."""

from __future__ import annotations

import torch
from torch import nn

from sparse_agents.measures import dormant_fraction, effective_rank, outputs_of


def fraction(output: torch.Tensor) -> float:
    module = nn.Identity()
    seen = outputs_of({"layer": module}, lambda: module(output))
    assert not module._forward_hooks
    return dormant_fraction(seen["layer"])


def test_of_a_layer() -> None:
    """Means 0, 1, 2 and 0.01 of a mean of 0.7525: the first and the last are at or below 2.5% of it."""
    assert fraction(torch.tensor([[0.0, 1.0, -2.0, 0.01], [0.0, -1.0, 2.0, 0.01]])) == 0.5


def test_of_a_convolution_channels_count_not_pixels() -> None:
    """Of three channels one is silent; of the others one speaks in a single pixel."""
    output = torch.zeros(2, 3, 4, 4)
    output[:, 1] = 1.0
    output[0, 2, 3, 3] = 32.0
    assert abs(fraction(output) - 1 / 3) < 1e-6


def test_a_rank_is_how_many_directions_count() -> None:
    """Singular values 60, 39, 0.9 and 0.1: two make up 99%."""
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(8, 4, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))
    output = left @ torch.diag(torch.tensor([60.0, 39.0, 0.9, 0.1], dtype=torch.float64)) @ right
    assert effective_rank(output) == 2
    assert effective_rank(output, delta=0.005) == 3
    assert effective_rank(output, delta=0.5) == 1
    assert effective_rank(torch.zeros(5, 3)) == 0
    assert effective_rank(torch.eye(3).view(3, 3, 1)) == 3
