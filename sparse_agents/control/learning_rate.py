"""Learning rates that differ from the one that an algorithm sets."""

from __future__ import annotations

from typing import Any

import torch

from sparse_agents.control.listener import StepListener


class LearningRateScale(StepListener):
    """Has an optimizer take steps with a multiple of the learning rate that it has between them.

    Stable-Baselines3 sets that of every group anew before it trains.

    Args:
        optimizer: whose steps.
        factor: what learning rates are multiplied by.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factor: float) -> None:
        self.factor = factor
        self._own: list[Any] = []
        optimizer.register_step_pre_hook(self._scale)
        optimizer.register_step_post_hook(self._restore)

    @property
    def quiet(self) -> bool:
        return True

    def _scale(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._own = [group["lr"] for group in optimizer.param_groups]
        for group, own in zip(optimizer.param_groups, self._own, strict=True):
            group["lr"] = self.factor * own

    def _restore(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group, own in zip(optimizer.param_groups, self._own, strict=True):
            group["lr"] = own
