"""TD3's gradient step as one program."""

from __future__ import annotations

import torch
from stable_baselines3 import TD3

from sparse_agents.ops.program import Program, SmoothedAction, Step
from sparse_agents.training.actor_critic import ActorCriticStep
from sparse_agents.training.critics import bootstrap, critic_networks, fit
from sparse_agents.training.networks import Network
from sparse_agents.training.optimizers import polyak_average
from sparse_agents.training.passes import network_of


class TD3Step(ActorCriticStep):
    """The update of ``TD3.train()`` (Fujimoto et al. 2018, algorithm 1), good for as long as no tensor moves.

    Args:
        model: whose optimizers have begun.
        batch: transitions in a minibatch.
    """

    def __init__(self, model: TD3, batch: int) -> None:
        actor = network_of(model.actor.mu, gradients=True)
        super().__init__(model, batch, actor, actor.gradients, rooms=2)
        self._noise = torch.empty(batch, self.minibatch.action_dim)
        online = [*model.critic.parameters(), *model.actor.parameters()]
        target = [*model.critic_target.parameters(), *model.actor_target.parameters()]
        self._polyak = polyak_average(online, target, model.tau)
        smoothing = self._smoothed(network_of(model.actor_target.mu))
        bootstrapping, self.target, targets = bootstrap(self.minibatch, critic_networks(model.critic_target))
        fitting = fit(self.minibatch, self.critics, self.rooms[0], targets, 1.0, self.critic_loss)
        always = [*self.minibatch.operations(), *smoothing, *bootstrapping, *fitting, *self.critic_step.steps]
        self._critics_alone = Program(always, actor.dtype)
        data, (first, second) = self.minibatch, self.rooms
        ascent = actor.ascend(
            self.critics[0], data.observations, data.transitions, self.actor_loss, (first, second)
        )  # the critics' data is used up by now
        self._with_actor = Program([*always, *ascent, *self.actor_step.steps, self._polyak], actor.dtype)

    def _smoothed(self, actor: Network) -> list[Step]:
        """The target actions (section 5.3), into ``next_transitions``."""
        data = self.minibatch
        run = actor.new_pass(data.batch)
        self._smoothing: SmoothedAction = SmoothedAction.of(
            rows=data.batch,
            columns=data.action_dim,
            out_stride=data.next_transitions.shape[1],
            action=run.output,
            noise=self._noise,
            out=data.next_transitions[:, data.observation_dim :],
        )
        return [run.forward(data.next_observations), self._smoothing]

    def configure(self) -> None:
        super().configure()
        self._polyak.tau, self._smoothing.clip = self._model.tau, self._model.target_noise_clip

    def run(self, updates: int) -> dict[str, float]:
        with_actor = updates % self._model.policy_delay == 0
        self.minibatch.draw()
        self._noise.normal_(0, self._model.target_policy_noise)
        self.critic_loss.zero_()
        self.actor_loss.zero_()
        (self._with_actor if with_actor else self._critics_alone).run()
        self.critic_step.taken()
        losses = {"train/critic_loss": float(self.critic_loss)}
        if not with_actor:
            return losses
        self.actor_step.taken()
        return {**losses, "train/actor_loss": float(self.actor_loss)}
