"""TD3's gradient step as one program."""

from __future__ import annotations

import torch
from stable_baselines3 import TD3

from sparse_agents.ops.program import Copy, Mean, Program, SmoothedAction, Step
from sparse_agents.training.critics import all_gradients, bootstrap, critic_networks, fit
from sparse_agents.training.networks import Network, Room
from sparse_agents.training.optimizers import adam_step, polyak_average
from sparse_agents.training.passes import network_of
from sparse_agents.training.replay import minibatch_of


class TD3Step:
    """The update of ``TD3.train()`` (Fujimoto et al. 2018, algorithm 1), good for as long as no tensor moves.

    Args:
        model: whose optimizers have begun.
        batch: transitions in a minibatch.
    """

    def __init__(self, model: TD3, batch: int) -> None:
        self._model = model
        actor, critics = network_of(model.actor.mu, gradients=True), critic_networks(model.critic, gradients=True)
        self.minibatch = data = minibatch_of(model, batch, actor.dtype)
        self._rooms = [Room([actor, *critics], batch) for _ in range(2)]
        self._noise = torch.empty(batch, data.action_dim)
        self._critic_loss, self._actor_loss = (torch.zeros(1, dtype=torch.float64) for _ in range(2))
        self._critic_adam = adam_step(model.critic.optimizer, all_gradients(critics))
        self._actor_adam = adam_step(model.actor.optimizer, actor.gradients)
        online = [*model.critic.parameters(), *model.actor.parameters()]
        target = [*model.critic_target.parameters(), *model.actor_target.parameters()]
        self._polyak = polyak_average(online, target, model.tau)
        smoothing = self._smoothed(network_of(model.actor_target.mu))
        bootstrapping, self._target, targets = bootstrap(data, critic_networks(model.critic_target))
        fitting = fit(data, critics, self._rooms[0], targets, 1.0, self._critic_loss)
        always = [*data.operations(), *smoothing, *bootstrapping, *fitting, self._critic_adam]
        self._critics_alone = Program(always, actor.dtype)
        self._with_actor = Program([*always, *self._update_actor(actor, critics[0])], actor.dtype)

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

    def _update_actor(self, network: Network, first_critic: Network) -> list[Step]:
        """By the first critic's gradient, of whose weights none is wanted; the critics' data is used up by now."""
        data = self.minibatch
        critic, actor = (
            one.new_pass(data.batch, room) for one, room in zip((first_critic, network), self._rooms, strict=True)
        )
        grad_q, grad_transitions = torch.empty_like(critic.output), torch.empty_like(data.transitions)
        grad_actions = torch.empty_like(actor.output)
        both, action = data.transitions.shape[1], slice(data.observation_dim, None)
        columns = {"rows": data.batch, "columns": data.action_dim}
        loss: Mean = Mean.of(rows=data.batch, scale=-1.0, x=critic.output, grad=grad_q, mean=self._actor_loss)
        put: Copy = Copy.of(
            **columns,
            from_stride=data.action_dim,
            out_stride=both,
            source=actor.output,
            out=data.transitions[:, action],
        )
        take: Copy = Copy.of(
            **columns,
            from_stride=both,
            out_stride=data.action_dim,
            source=grad_transitions[:, action],
            out=grad_actions,
        )
        return [
            actor.forward(data.observations),
            put,
            critic.forward(data.transitions),
            loss,
            critic.backward(grad_q, grad_transitions, parameters=False),
            take,
            actor.backward(grad_actions),
            self._actor_adam,
            self._polyak,
        ]

    def configure(self) -> None:
        model = self._model
        self._critic_adam.learning_rate = model.critic.optimizer.param_groups[0]["lr"]
        self._actor_adam.learning_rate = model.actor.optimizer.param_groups[0]["lr"]
        self._polyak.tau, self._target.discount = model.tau, model.gamma
        self._smoothing.clip = model.target_noise_clip

    def run(self, updates: int) -> dict[str, float]:
        with_actor = updates % self._model.policy_delay == 0
        self.minibatch.draw()
        self._noise.normal_(0, self._model.target_policy_noise)
        self._critic_loss.zero_()
        self._actor_loss.zero_()
        (self._with_actor if with_actor else self._critics_alone).run()
        losses = {"train/critic_loss": float(self._critic_loss)}
        return {**losses, "train/actor_loss": float(self._actor_loss)} if with_actor else losses
