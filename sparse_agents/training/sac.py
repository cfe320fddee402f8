"""SAC's gradient step as one program."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from stable_baselines3 import SAC

from sparse_agents.ops.program import Entropy, GaussianGradient, Least, Program, Step
from sparse_agents.training.critics import all_gradients, bootstrap, critic_networks, fit
from sparse_agents.training.gaussian import GaussianActor, Sample
from sparse_agents.training.networks import Network, Pass, Room
from sparse_agents.training.optimizers import adam_step, polyak_average
from sparse_agents.training.replay import minibatch_of


class SACStep:
    """The update of ``SAC.train()`` (Haarnoja et al. 2018), good for as long as no tensor moves.

    Args:
        model: whose optimizers have begun.
        batch: transitions in a minibatch.
    """

    def __init__(self, model: SAC, batch: int) -> None:
        self._model = model
        actor, critics = GaussianActor(model.actor), critic_networks(model.critic, gradients=True)
        network = actor.network
        self.minibatch = data = minibatch_of(model, batch, network.dtype)
        self._rooms = [Room([network, *critics], batch) for _ in range(1 + len(critics))]
        self._losses = torch.zeros(3, dtype=torch.float64)
        critic_loss, self._actor_loss, self._entropy_loss = self._losses.split(1)
        self._coefficient = torch.zeros(1, dtype=torch.float64)
        self._critic_adam = adam_step(model.critic.optimizer, all_gradients(critics))
        self._actor_adam = adam_step(model.actor.optimizer, actor.gradients)
        self._polyak = polyak_average(
            list(model.critic.parameters()), list(model.critic_target.parameters()), model.tau
        )
        passes = network.new_pass(batch, self._rooms[0]), network.new_pass(batch)
        self._now, self._then = (Sample(one.output) for one in passes)
        bootstrapping, self._target, targets = bootstrap(
            data, critic_networks(model.critic_target), log_prob=self._then.log_prob, entropy=self._coefficient
        )
        program = [
            *data.operations(),
            *actor.collect,
            passes[0].forward(data.observations),
            self._now.gaussian(),
            *self._entropy(),
            passes[1].forward(data.next_observations),
            self._then.gaussian(),
            self._then.put(data.next_transitions),
            *bootstrapping,
            *fit(data, critics, self._rooms[1], targets, 0.5, critic_loss),
            self._critic_adam,
            *self._update_actor(passes[0], critics),
            self._actor_adam,
            self._polyak,
        ]
        self._program = Program(program, network.dtype)

    def _entropy(self) -> Sequence[Step]:
        """The entropy coefficient (section 5 of the second paper) and its gradient, where it is trained."""
        model = self._model
        if model.ent_coef_optimizer is None:
            self._coefficient.fill_(model.ent_coef_tensor.item())
            return []
        logarithm = model.log_ent_coef
        assert logarithm is not None
        gradient = torch.zeros_like(logarithm)
        self._entropy_adam = adam_step(model.ent_coef_optimizer, {logarithm: gradient})
        operation: Entropy = Entropy.of(
            rows=self.minibatch.batch,
            target=float(model.target_entropy),
            log_prob=self._now.log_prob,
            logarithm=logarithm,
            grad=gradient,
            coefficient=self._coefficient,
            loss=self._entropy_loss,
        )
        return [operation, self._entropy_adam]

    def _update_actor(self, actor: Pass, critics: Sequence[Network]) -> Sequence[Step]:
        """By the least critic's gradient, sample by sample; the critics' data is used up by now."""
        data = self.minibatch
        passes = [network.new_pass(data.batch, room) for network, room in zip(critics, self._rooms[1:], strict=True)]
        grads = [torch.empty_like(one.output) for one in passes]
        by_transition = [torch.empty_like(data.transitions) for _ in passes]
        least: Least = Least.of(
            critics=len(passes),
            rows=data.batch,
            log_prob=self._now.log_prob,
            entropy=self._coefficient,
            loss=self._actor_loss,
        )
        least.point("q", [one.output for one in passes])
        least.point("grad", grads)
        by_parameters = torch.empty_like(actor.output)
        gradient: GaussianGradient = GaussianGradient.of(
            critics=len(passes),
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
            self._now.put(data.transitions),
            *(one.forward(data.transitions) for one in passes),
            least,
            *(one.backward(g, x, parameters=False) for one, g, x in zip(passes, grads, by_transition, strict=True)),
            gradient,
            actor.backward(by_parameters),
        ]

    def configure(self) -> None:
        model = self._model
        self._critic_adam.learning_rate = model.critic.optimizer.param_groups[0]["lr"]
        self._actor_adam.learning_rate = model.actor.optimizer.param_groups[0]["lr"]
        self._target.discount = model.gamma
        if model.ent_coef_optimizer is not None:
            self._entropy_adam.learning_rate = model.ent_coef_optimizer.param_groups[0]["lr"]

    def run(self, updates: int) -> dict[str, float]:
        self.minibatch.draw()
        self._now.draw()
        self._then.draw()
        self._losses.zero_()
        self._polyak.tau = self._model.tau
        self._program.run()
        critic, actor, entropy = self._losses.tolist()
        logged = {"train/critic_loss": critic, "train/actor_loss": actor, "train/ent_coef": float(self._coefficient)}
        if self._model.ent_coef_optimizer is not None:
            logged["train/ent_coef_loss"] = entropy
        return logged
