"""SAC's gradient step as one program."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from stable_baselines3 import SAC

from sparse_agents.ops.program import Copy, Entropy, GaussianGradient, Least, Step
from sparse_agents.training.actor_critic import ActorCriticStep
from sparse_agents.training.critics import bootstrap, critic_networks
from sparse_agents.training.engine import Engine
from sparse_agents.training.gaussian import GaussianActor, Sample
from sparse_agents.training.losses import Sums
from sparse_agents.training.networks import Pass
from sparse_agents.training.optimizers import optimizer_step


class SACStep(ActorCriticStep):
    """The update of ``SAC.train()`` (Haarnoja et al. 2018), good for as long as no tensor moves.

    Args:
        model: whose optimizers have begun.
        batch: transitions in a minibatch.
        engine: that it runs on.
    """

    def __init__(self, model: SAC, batch: int, engine: Engine) -> None:
        actor = GaussianActor(model.actor, engine)
        super().__init__(model, batch, engine, actor.network, actor.gradients, losses=["ent_coef_loss", "ent_coef"])
        data = self.minibatch
        self._coefficient = torch.zeros(1, dtype=torch.float64)
        now, then = actor.network.new_pass(batch, self.rooms[0]), actor.network.new_pass(batch)
        self._now, self._then = Sample(now.output), Sample(then.output)
        bootstrapping, self.target, targets = bootstrap(
            data, critic_networks(model.critic_target, engine), log_prob=self._then.log_prob, entropy=self._coefficient
        )
        program = [
            data.draw,
            self._now.draw,
            self._then.draw,
            *data.operations(),
            *actor.collect,
            now.forward(data.observations),
            self._now.gaussian(),
            *self._entropy(),
            then.forward(data.next_observations),
            self._then.gaussian(),
            Copy.between(self._then.action, data.next_transitions[:, data.observation_dim :]),
            *bootstrapping,
            *self.critics.fit(data.transitions, targets, 0.5, self.losses["critic_loss"], self.rooms[1]),
            *self.critic_step.averaging,
            *self._update_actor(now),
            *self.actor_step.steps,
        ]
        self._program = engine.program(program, data)

    def _entropy(self) -> Sequence[Step]:
        """The entropy coefficient (section 5 of the second paper) and its gradient, where it is trained."""
        model = self._model
        if model.ent_coef_optimizer is None:
            return []
        logarithm = model.log_ent_coef
        assert logarithm is not None
        gradient = torch.zeros_like(logarithm)
        step = optimizer_step(model.ent_coef_optimizer, {logarithm: gradient})
        self.optimizer_steps.append(step)
        self._learned: Entropy = Entropy.of(
            rows=self.minibatch.batch,
            target=float(model.target_entropy),
            log_prob=self._now.log_prob,
            logarithm=logarithm,
            grad=gradient,
            coefficient=self._coefficient,
            coefficients=self.losses["ent_coef"],
            loss=self.losses["ent_coef_loss"],
        )
        return [self._learned, *step.steps]

    def _update_actor(self, actor: Pass) -> Sequence[Step]:
        """By the least critic's gradient, sample by sample; the critics' data is used up by now."""
        data = self.minibatch
        judged = self.critics.new_pass(data.batch, self.rooms[1:])
        grads = [torch.empty_like(output) for output in judged.outputs]
        by_transition = [torch.empty_like(data.transitions) for _ in judged.outputs]
        least: Least = Least.of(
            critics=len(grads),
            rows=data.batch,
            log_prob=self._now.log_prob,
            entropy=self._coefficient,
            loss=self.losses["actor_loss"],
        )
        least.point("q", judged.outputs)
        least.point("grad", grads)
        by_parameters = torch.empty_like(actor.output)
        gradient: GaussianGradient = GaussianGradient.of(
            critics=len(grads),
            rows=data.batch,
            columns=data.action_dim,
            grad_stride=data.transitions.shape[1],
            entropy=self._coefficient,
            parameters=actor.output,
            noise=self._now.noise,
            action=self._now.action,
            grad=by_parameters,
        )
        gradient.point("grad_action", [g[:, data.observation_dim :] for g in by_transition])
        return [
            Copy.between(self._now.action, data.transitions[:, data.observation_dim :]),
            *judged.forward(data.transitions),
            least,
            *judged.backward(grads, by_transition),
            gradient,
            actor.backward(by_parameters),
        ]

    def configure(self) -> None:
        super().configure()
        if self._model.ent_coef_optimizer is None:
            self._coefficient.fill_(self._model.ent_coef_tensor.item())
        else:
            self._learned.target = float(self._model.target_entropy)

    def run(self, updates: int) -> None:
        self.critic_step.average_by(self._model.tau)  # which may be another at every update
        self._program.run()
        for step in self.optimizer_steps:
            step.taken()
        learned = self._model.ent_coef_optimizer is not None
        self.losses.count(["critic_loss", "actor_loss", *(["ent_coef_loss", "ent_coef"] if learned else [])])

    def collect(self) -> Sums:
        found = dict(super().collect())
        if "train/critic_loss" in found and "train/ent_coef" not in found:  # it is fixed
            updates = found["train/critic_loss"][1]
            found["train/ent_coef"] = float(self._coefficient) * updates, updates
        return found
