"""Sparsity as the field simulates it, to compare with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def masked(model: Any, sparsity: float) -> Any:
    """Sparsity as the field simulates it: full matrices, multiplied with masks around every optimizer step."""
    masks: dict[torch.Tensor, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for network in (model.actor, model.critic, model.critic_target):
        for module in network.modules():
            if isinstance(module, nn.Linear) and module.out_features > 1:
                weight = module.weight
                masks[weight] = (torch.rand(weight.shape, generator=generator) >= sparsity).float()

    def mask_gradients(*_: Any) -> None:
        for weight, mask in masks.items():
            if weight.grad is not None:
                weight.grad.mul_(mask)

    def mask_weights(*_: Any) -> None:
        for weight, mask in masks.items():
            weight.data.mul_(mask)

    for network in (model.actor, model.critic):
        network.optimizer.register_step_pre_hook(mask_gradients)
        network.optimizer.register_step_post_hook(mask_weights)
    return model
