"""Weight decay of networks that lack connections."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from sparse_agents.errors import ConfigurationError
from sparse_agents.policies.parts import Part


def set_decay(parts: Iterable[Part], optimizer: torch.optim.Optimizer | None, weight_decay: float) -> None:
    """Have an optimizer decay the weights of networks that lack connections, in place; dense ones stay as they are.

    Args:
        parts: what the optimizer trains.
        optimizer: any that has weight decay, in its own sense; None stands for something that is none.
        weight_decay: the factor of the weights that Adam adds to their gradients.

    Raises:
        ConfigurationError: where the value, or the optimizer, is none that decays.
    """
    if isinstance(weight_decay, bool) or not isinstance(weight_decay, int | float) or not 0 <= weight_decay < 1:
        raise ConfigurationError(f"weight_decay={weight_decay!r}: a number in [0, 1).")
    if not any(present < dense for present, dense in (part.weights() for part in parts)):
        return
    if optimizer is None or any("weight_decay" not in group for group in optimizer.param_groups):
        raise ConfigurationError(f"weight_decay={weight_decay}: {type(optimizer).__name__} has none.")
    for group in optimizer.param_groups:
        group["weight_decay"] = weight_decay
