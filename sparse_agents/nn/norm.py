"""LayerNorm before an activation."""

from __future__ import annotations

from torch import nn


class Normalised(nn.Sequential):
    """LayerNorm (Ba et al. 2016) without gain and bias, then an activation: one module, in an activation's place.

    Args:
        features: of the layer before it.
        activation: what follows.
    """

    def __init__(self, features: int, activation: nn.Module) -> None:
        super().__init__(nn.LayerNorm(features, elementwise_affine=False), activation)
