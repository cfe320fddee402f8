"""What follows a layer's sums: LayerNorm or not, then a function; in torch, differentiable any number of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

LAYER_NORM_CODE = 16
"""``SA_LAYER_NORM`` of kernels/include/sparse_agents/network.h."""
EPSILON = 1e-5


@dataclass(frozen=True)
class Activation:
    """A layer's sums are feature-major here, ``[features, batch]``.

    Attributes:
        code: of ``sa_activation``.
        function: of the sums, or of what LayerNorm makes of them.
        derivative: gradient times the function's derivative, as a function of gradient and value.
        norm: LayerNorm (Ba et al. 2016) before the function, without gain and bias: every sample's sums get mean 0 and
            variance 1 over the features.
    """

    code: int
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor]
    norm: bool = False

    def __call__(self, sums: Tensor) -> Tensor:
        return self.function(_normalised(sums)[0] if self.norm else sums)

    def by_sums(self, grad: Tensor, sums: Tensor, value: Tensor) -> Tensor:
        """From the gradient of the value to that of the sums."""
        grad = self.derivative(grad, value)
        if not self.norm:
            return grad
        z, scale = _normalised(sums)
        return scale * (grad - grad.mean(0) - z * (grad * z).mean(0))


def _normalised(sums: Tensor) -> tuple[Tensor, Tensor]:
    """And by what they were scaled, ``[batch]``."""
    centred = sums - sums.mean(0)
    scale = (centred.square().mean(0) + EPSILON).rsqrt()
    return centred * scale, scale


_PLAIN = {
    "identity": Activation(0, lambda x: x, lambda g, y: g),
    "relu": Activation(1, torch.relu, lambda g, y: g.masked_fill(y <= 0, 0.0)),
    "tanh": Activation(2, torch.tanh, lambda g, y: g * (1 - y * y)),
}
NORMALISED: Mapping[str, str] = {name: f"layer_norm_{name}" for name in _PLAIN}
"""The same with LayerNorm before it."""
ACTIVATIONS: Mapping[str, Activation] = {
    **_PLAIN,
    **{
        NORMALISED[name]: Activation(one.code + LAYER_NORM_CODE, one.function, one.derivative, norm=True)
        for name, one in _PLAIN.items()
    },
}
"""By the names that chains are made of."""
