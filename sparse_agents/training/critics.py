"""What TD3 and SAC have in common: several critics, their targets, and the gradient they give an actor's action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.ops.program import Step, TDTarget
from sparse_agents.training.engine import Engine
from sparse_agents.training.networks import Ensemble, Network
from sparse_agents.training.replay import Minibatch


def critic_networks(critic: nn.Module, engine: Engine, gradients: bool = False) -> Ensemble:
    """Of a ``ContinuousCritic`` of Stable-Baselines3."""
    modules = [module for name, module in critic.named_children() if name.startswith("qf")]
    return engine.ensemble([engine.network_of(module, gradients) for module in modules])


def all_gradients(networks: Sequence[Network]) -> Mapping[Tensor, Tensor]:
    """By parameter."""
    return {parameter: gradient for network in networks for parameter, gradient in network.gradients.items()}


def bootstrap(data: Minibatch, targets: Ensemble, **entropy: Any) -> tuple[list[Step], TDTarget, Tensor]:
    """What the critics are to say of the minibatch, from ``data.next_transitions``.

    Returns:
        The operations, the last of which holds the discount, and where the result will be.
    """
    run = targets.new_pass(data.batch)
    result = torch.empty_like(data.rewards)
    target: TDTarget = TDTarget.of(
        critics=len(run.outputs),
        rows=data.batch,
        reward=data.rewards,
        done=data.dones,
        timeout=data.timeouts,
        discounts=data.discounts,
        target=result,
        **entropy,
    )
    target.point("q", run.outputs)
    return [*run.forward(data.next_transitions), target], target, result
