"""What an optimizer keeps for a parameter, through a change of its connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.nn import SparseLayer


def holds(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    return any(p is parameter for group in optimizer.param_groups for p in group["params"])


def learning_rate(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> float:
    """Of the group that holds the parameter, now."""
    return float(next(g["lr"] for g in optimizer.param_groups if any(p is parameter for p in g["params"])))


def map_moments(
    optimizer: torch.optim.Optimizer, parameter: Tensor, shape: torch.Size, move: Callable[[Tensor], Tensor]
) -> None:
    """Apply ``move`` to every state tensor of the given shape: Adam's moments, momentum, any other.

    Scalars such as Adam's step counter have another shape and stay.
    """
    state = optimizer.state.get(parameter, {})
    for key, value in state.items():
        if isinstance(value, Tensor) and value.shape == shape:
            state[key] = move(value)


def swap_parameters(
    optimizer: torch.optim.Optimizer, replaced: Mapping[Tensor, nn.Parameter], layers: Iterable[SparseLayer]
) -> None:
    """Let the optimizer hold sparse layers' parameters in the places of dense ones; what it has of them is carried.

    Args:
        optimizer: which may have taken steps already.
        replaced: old parameter to new one.
        layers: the sparse layers, among others perhaps.
    """
    ids = {layer.weight: layer.topology.edges.ids for layer in layers}
    for group in optimizer.param_groups:
        group["params"] = [replaced.get(p, p) for p in group["params"]]
    for old, new in replaced.items():
        state = optimizer.state.pop(old, None)
        if state:
            optimizer.state[new] = {
                key: value.reshape(-1)[ids[new]] if new in ids and is_like(value, old) else value
                for key, value in state.items()
            }


def is_like(value: Any, parameter: Tensor) -> bool:
    """Whether a piece of an optimizer's state is a moment: scalars such as Adam's step counter have another shape."""
    return isinstance(value, Tensor) and value.shape == parameter.shape


def prefer_fused(optimizer: torch.optim.Optimizer) -> None:
    """Let Adam and AdamW update all parameters in one call, unless the user chose how.

    The same arithmetic as torch's loop over parameters, which costs more than a sparse network's forward
    and backward together.
    """
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return
    for group in optimizer.param_groups:
        chosen = group.get("fused") is not None or group.get("foreach") is not None
        special = group.get("capturable") or group.get("differentiable")
        if not chosen and not special and all(p.is_floating_point() for p in group["params"]):
            group["fused"] = True
