"""What an optimizer keeps for a parameter, through a change of its connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def holds(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    return any(p is parameter for group in optimizer.param_groups for p in group["params"])


def map_moments(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, shape: torch.Size, move: Callable[[Tensor], Tensor]
) -> None:
    """Apply ``move`` to every state tensor of the given shape: Adam's moments, momentum, any other.

    Scalars such as Adam's step counter have another shape and stay.
    """
    state = optimizer.state.get(parameter, {})
    for key, value in state.items():
        if isinstance(value, Tensor) and value.shape == shape:
            state[key] = move(value)


def swap_parameters(optimizer: torch.optim.Optimizer, replaced: Mapping[Tensor, nn.Parameter]) -> None:
    """Let the optimizer hold new parameters in the places of old ones. Their state is not carried."""
    for group in optimizer.param_groups:
        group["params"] = [replaced.get(p, p) for p in group["params"]]
    for old in replaced:
        optimizer.state.pop(old, None)
