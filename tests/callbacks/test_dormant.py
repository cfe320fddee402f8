"""Dormant units, by hand."""

from __future__ import annotations

import torch
from torch import nn

from sparse_agents.callbacks.dormant import dormant_fractions


def fraction(output: torch.Tensor) -> float:
    module = nn.Identity()
    return dormant_fractions({"layer": module}, lambda: module(output))["layer"]


def test_of_a_layer() -> None:
    """Means 0, 1, 2 and 0.01 of a mean of 0.7525: the first and the last are at or below 2.5% of it."""
    assert fraction(torch.tensor([[0.0, 1.0, -2.0, 0.01], [0.0, -1.0, 2.0, 0.01]])) == 0.5


def test_of_a_convolution_channels_count_not_pixels() -> None:
    """Of three channels one is silent; of the others one speaks in a single pixel."""
    output = torch.zeros(2, 3, 4, 4)
    output[:, 1] = 1.0
    output[0, 2, 3, 3] = 32.0
    assert abs(fraction(output) - 1 / 3) < 1e-6
