"""TD3's gradient step as one program."""

from __future__ import annotations

import torch
from stable_baselines3 import TD3

from sparse_agents.ops.program import SmoothedAction, Step
from sparse_agents.training.actor_critic import ActorCriticStep
from sparse_agents.training.critics import bootstrap, critic_networks
from sparse_agents.training.engine import Engine
from sparse_agents.training.networks import Network


class TD3Step(ActorCriticStep):
    """The update of ``TD3.train()`` (Fujimoto et al. 2018, algorithm 1), good for as long as no tensor moves.

    Args:
        model: whose optimizers have begun.
        batch: transitions in a minibatch.
        engine: that it runs on.
    """

    def __init__(self, model: TD3, batch: int, engine: Engine) -> None:
        actor = engine.network_of(model.actor.mu, gradients=True)
        super().__init__(model, batch, engine, actor, actor.gradients, model.actor_target, rooms=2)
        self._noise = torch.empty(batch, self.minibatch.action_dim)
        smoothing = self._smoothed(engine.network_of(model.actor_target.mu))
        bootstrapping, self.target, targets = bootstrap(self.minibatch, critic_networks(model.critic_target, engine))
        data, (first, second), losses = self.minibatch, self.rooms, self.losses
        fitting = self.critics.fit(data.transitions, targets, 1.0, losses["critic_loss"], first)
        draws: list[Step] = [data.draw, self._noise.normal_, *data.operations()]
        always = [*draws, *smoothing, *bootstrapping, *fitting]
        self._critics_alone = engine.program([*always, *self.critic_step.steps], data)
        ascent = actor.ascend(
            self.critics.networks[0], data.observations, data.transitions, losses["actor_loss"], (first, second)
        )  # the critics' data is used up by now
        self._with_actor = engine.program(
            [*always, *self.critic_step.averaging, *ascent, *self.actor_step.averaging], data
        )

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
        for step in self.optimizer_steps:
            step.average_by(self._model.tau)
        self._smoothing.scale, self._smoothing.clip = self._model.target_policy_noise, self._model.target_noise_clip

    def run(self, updates: int) -> None:
        with_actor = updates % self._model.policy_delay == 0
        (self._with_actor if with_actor else self._critics_alone).run()
        self.critic_step.taken()
        if with_actor:
            self.actor_step.taken()
        self.losses.count(["critic_loss", "actor_loss"][: 1 + with_actor])
