"""Linear layers that are too large to be dense even for a moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sparse_agents.errors import ConfigurationError

LARGEST = 1 << 24
"""Weights of a matrix that is still made: 64 MiB in float32."""


@contextmanager
def deferred_matrices() -> Iterator[None]:
    """Meanwhile no matrix of more than 2^24 weights is made: layers with one have none until they are sparse.

    For networks of any width that :func:`sparse_agents.sparsify` is to be called on next::

        with deferred_matrices():
            network = nn.Sequential(nn.Linear(54_675, 500_000), nn.ReLU(), nn.Linear(500_000, 18))
        sparsify(network, sparsity=0.9999)

    The weights of their connections are drawn as ``nn.Linear`` draws its own, whatever initialisation was asked for in
    between; all other layers are made as ever. Until then such a network has nothing to compute with, and what it
    returns means nothing. Sparse policies are built like this always.

    Raises:
        ConfigurationError: where weights are to be copied into such a layer, which would be lost.
    """
    with _NoLargeMatrices():
        yield


class _NoLargeMatrices(TorchFunctionMode):
    """Tensors without memory (torch's ``meta`` device) in place of large new ones, which stay so wherever they go."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.empty and _numel(args) > LARGEST:
            return func(*args, **{**(kwargs or {}), "device": "meta"})
        if func is Tensor.to and args[0].is_meta:
            return args[0]
        if func is Tensor.copy_ and args[0].is_meta and not args[1].is_meta:
            raise ConfigurationError(
                f"Weights are copied into a layer of shape {tuple(args[0].shape)}, which has no dense matrix, for it "
                "would be too large. Make the layer smaller, or load them into the sparse network."
            )
        return func(*args, **(kwargs or {}))


def is_deferred(layer: nn.Module) -> bool:
    """Whether a layer has no matrix yet."""
    return layer._parameters["weight"] is not None and layer._parameters["weight"].is_meta


@contextmanager
def needing_values() -> Iterator[None]:
    """Around what may look at the weights of a layer.

    Raises:
        ConfigurationError: where a deferred one has none to look at.
    """
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        if "meta" not in str(error):
            raise
        raise ConfigurationError(
            "This topology or initial topology is chosen by the weights of a dense layer, and one of the "
            f"layers has more than {LARGEST:,}, too many for a matrix. Choose what begins at random, such as 'set'."
        ) from error


def check_none_deferred(module: nn.Module) -> None:
    """Raises ConfigurationError where a layer that was to become sparse has stayed dense, and has no matrix."""
    for name, parameter in module.named_parameters():
        if parameter.is_meta:
            raise ConfigurationError(
                f"{name} is {tuple(parameter.shape)}, too large for a dense layer, and is not made sparse. Let "
                "`include` and `exclude` leave it to the sparse ones, or make the network smaller."
            )


def draw_weights(weight: Tensor, inputs: int) -> None:
    """As ``nn.Linear`` draws those of a dense layer with so many inputs, in place."""
    bound = 1 / math.sqrt(inputs)
    nn.init.uniform_(weight, -bound, bound)


def _numel(args: Sequence[Any]) -> int:
    """Of ``torch.empty``'s sizes, given one by one or as one."""
    sizes = args[0] if len(args) == 1 and isinstance(args[0], Sequence) else args
    return math.prod(sizes)
