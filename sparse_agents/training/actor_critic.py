"""What the steps of TD3 and SAC begin with, and take over from the agent before each call of ``train()``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sparse_agents.ops.program import TDTarget
from sparse_agents.training.critics import all_gradients, critic_networks
from sparse_agents.training.engine import Engine
from sparse_agents.training.losses import Losses, Sums
from sparse_agents.training.networks import Network, Room
from sparse_agents.training.optimizers import optimizer_step


class ActorCriticStep:
    """A minibatch, the networks that are trained, room for their passes, and their optimizers.

    Args:
        model: the agent, whose optimizers have begun, where they are to step natively.
        batch: transitions in a minibatch.
        engine: that the update is to run on.
        actor: its actor.
        gradients: the actor's, by parameter.
        actor_target: what is averaged of the actor, if anything.
        rooms: for so many passes that have to last side by side.
        losses: names of those that are logged, besides the critics' and the actor's.
    """

    target: TDTarget

    def __init__(
        self, model: Any, batch: int, engine: Engine, actor: Network, gradients: Mapping[Tensor, Tensor],
        actor_target: nn.Module | None = None, rooms: int | None = None, losses: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.critics = critic_networks(model.critic, engine, gradients=True)
        self.minibatch = engine.minibatch(model, batch, actor.dtype)
        self.rooms = [
            Room([actor, *self.critics.networks], batch) for _ in range(rooms or 1 + len(self.critics.networks))
        ]
        targets = targets_of(model.critic, model.critic_target)
        self.critic_step = optimizer_step(model.critic.optimizer, all_gradients(self.critics.networks), targets)
        targets = {} if actor_target is None else targets_of(model.actor, actor_target)
        self.actor_step = optimizer_step(model.actor.optimizer, gradients, targets)
        self.optimizer_steps = [self.critic_step, self.actor_step]
        self.losses = Losses(["critic_loss", "actor_loss", *losses])
        self._model, self._engine = model, engine

    def configure(self) -> None:
        """Learning rates and the discount may have changed, and there may be more transitions."""
        self.minibatch.refresh()
        for step in self.optimizer_steps:
            step.configure()
        self.target.discount = self._model.gamma

    def follow(self) -> bool:
        """Take over what another update has left; False: it takes another step."""
        for step in self.optimizer_steps:
            step.follow()
        return self._engine.follow()

    def collect(self) -> Sums:
        """What has been logged since the last time."""
        return self.losses.collect()


def targets_of(online: nn.Module, target: nn.Module) -> Mapping[Tensor, Tensor]:
    """What averages of a network's parameters go into."""
    return dict(zip(online.parameters(), target.parameters(), strict=True))


def networks_of(model: Any, actor: str) -> Mapping[str, nn.Module]:
    """What an update runs, by name: critics, their targets, and what ``actor`` names in the actor."""
    networks: dict[str, nn.Module] = {"actor": model.actor.get_submodule(actor)}
    for name, critic in (("critic", model.critic), ("target critic", model.critic_target)):
        networks |= {f"{name} {index}": network for index, network in enumerate(critic.q_networks)}
    return networks
