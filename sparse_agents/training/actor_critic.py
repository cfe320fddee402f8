"""What the steps of TD3 and SAC begin with, and take over from the agent before each call of ``train()``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.ops.program import TDTarget
from sparse_agents.training.critics import all_gradients, critic_networks
from sparse_agents.training.networks import Network, Room
from sparse_agents.training.optimizers import optimizer_step
from sparse_agents.training.replay import minibatch_of


class ActorCriticStep:
    """A minibatch, the networks that are trained, room for their passes, and their optimizers.

    Args:
        model: the agent, whose optimizers have begun, where they are to step natively.
        batch: transitions in a minibatch.
        actor: its actor.
        gradients: the actor's, by parameter.
        rooms: for so many passes that have to last side by side.
    """

    target: TDTarget

    def __init__(
        self, model: Any, batch: int, actor: Network, gradients: Mapping[Tensor, Tensor], rooms: int | None = None
    ) -> None:
        self.critics: Sequence[Network] = critic_networks(model.critic, gradients=True)
        self.minibatch = minibatch_of(model, batch, actor.dtype)
        self.rooms = [Room([actor, *self.critics], batch) for _ in range(rooms or 1 + len(self.critics))]
        self.critic_step = optimizer_step(model.critic.optimizer, all_gradients(self.critics))
        self.actor_step = optimizer_step(model.actor.optimizer, gradients)
        self.critic_loss, self.actor_loss = (torch.zeros(1, dtype=torch.float64) for _ in range(2))
        self._model = model

    def configure(self) -> None:
        """Learning rates and the discount may have changed."""
        self.critic_step.configure()
        self.actor_step.configure()
        self.target.discount = self._model.gamma


def networks_of(model: Any, actor: str) -> Mapping[str, nn.Module]:
    """What an update runs, by name: critics, their targets, and what ``actor`` names in the actor."""
    networks: dict[str, nn.Module] = {"actor": model.actor.get_submodule(actor)}
    for name, critic in (("critic", model.critic), ("target critic", model.critic_target)):
        networks |= {f"{name} {index}": network for index, network in enumerate(critic.q_networks)}
    return networks
