"""What optimizers do otherwise for networks that lack connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from sparse_agents.control import LearningRateScale
from sparse_agents.errors import ConfigurationError
from sparse_agents.policies.parts import Part


def set_decay(parts: Sequence[Part], optimizer: torch.optim.Optimizer | None, weight_decay: Any) -> None:
    """Have an optimizer decay weights, in its own sense: Adam adds them to their gradients, times ``weight_decay``.

    Raises:
        ConfigurationError: where the value, or the optimizer, is none that decays.
    """
    if not _is_number(weight_decay) or not 0 <= weight_decay < 1:
        raise ConfigurationError(f"weight_decay={weight_decay!r}: a number in [0, 1).")
    if not _lack_connections(parts):
        return
    if optimizer is None or any("weight_decay" not in group for group in optimizer.param_groups):
        raise ConfigurationError(f"weight_decay={weight_decay}: {type(optimizer).__name__} has none.")
    for group in optimizer.param_groups:
        group["weight_decay"] = weight_decay


def scale_learning_rate(parts: Sequence[Part], optimizer: torch.optim.Optimizer | None, scale: Any) -> None:
    """Have an optimizer multiply the learning rate that it is given by a number or, for ``"auto"``, by one over the
    root of the density.

    Raises:
        ConfigurationError: where the value is none of these, or there is no optimizer.
    """
    if scale != "auto" and (not _is_number(scale) or not 0 < scale < float("inf")):
        raise ConfigurationError(f"learning_rate_scale={scale!r}: a number above 0, or 'auto'.")
    if scale == 1 or not _lack_connections(parts):
        return
    if optimizer is None:
        raise ConfigurationError(f"learning_rate_scale={scale!r}: there is no optimizer.")
    if scale == "auto":
        present, dense = map(sum, zip(*(part.weights() for part in parts), strict=True))
        scale = (dense / max(present, 1)) ** 0.5
    LearningRateScale(optimizer, scale)


OPTIMIZER_OPTIONS: Mapping[str, Callable[[Sequence[Part], torch.optim.Optimizer | None, Any], None]] = {
    "weight_decay": set_decay,
    "learning_rate_scale": scale_learning_rate,
}
"""Options by optimizer, and what sets them for the parts that it trains; dense ones stay as they are."""


def _lack_connections(parts: Sequence[Part]) -> bool:
    return any(present < dense for present, dense in (part.weights() for part in parts))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
