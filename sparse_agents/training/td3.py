"""TD3's gradient step as one program."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor, nn

from sparse_agents.nn import SparseSequential
from sparse_agents.ops.program import Copy, Mean, Operation, Program, SmoothedAction, TDError, TDTarget
from sparse_agents.training.optimizers import adam_step, polyak_average
from sparse_agents.training.passes import Network, Pass, Room
from sparse_agents.training.replay import Minibatch


class TD3Step:
    """The update of ``TD3.train()`` (Fujimoto et al. 2018, algorithm 1), good for as long as no tensor moves.

    Args:
        model: whose optimizers have begun.
        batch: transitions in a minibatch.
    """

    def __init__(self, model: TD3, batch: int) -> None:
        buffer = model.replay_buffer
        assert isinstance(buffer, ReplayBuffer)
        self._model = model
        actor, critics = Network(_mu(model.actor), gradients=True), _critics(model.critic, gradients=True)
        self.minibatch = Minibatch(buffer, batch, actor.dtype)
        self._rooms = [Room([actor, *critics], batch) for _ in range(2)]
        self._noise = torch.empty(batch, self.minibatch.action_dim)
        self._critic_loss, self._actor_loss = (torch.zeros(1, dtype=torch.float64) for _ in range(2))
        self._critic_adam = adam_step(model.critic.optimizer, _merged(critics))
        self._actor_adam = adam_step(model.actor.optimizer, actor.gradients)
        online, target = ([*m.critic.parameters(), *m.actor.parameters()] for m in (_Online(model), _Target(model)))
        self._polyak = polyak_average(online, target, model.tau)
        target_operations, targets = self._targets(model)
        critic_operations = self._update_critics(critics, targets)
        always = [self.minibatch.gather(), *target_operations, *critic_operations]
        self._critics_alone = Program(always, actor.dtype)
        self._with_actor = Program([*always, *self._update_actor(actor, critics[0])], actor.dtype)

    def _targets(self, model: TD3) -> tuple[list[Operation], Tensor]:
        """What the critics are to say, by clipped double-Q learning with smoothed target actions."""
        data = self.minibatch
        actor = Pass(Network(_mu(model.actor_target)), data.batch)
        critics = [Pass(network, data.batch) for network in _critics(model.critic_target)]
        targets = torch.empty_like(data.rewards)
        self._smoothing: SmoothedAction = SmoothedAction.of(
            rows=data.batch,
            columns=data.action_dim,
            out_stride=data.next_transitions.shape[1],
            action=actor.output,
            noise=self._noise,
            out=data.next_transitions[:, data.observation_dim :],
        )
        self._target: TDTarget = TDTarget.of(
            critics=len(critics),
            rows=data.batch,
            reward=data.rewards,
            done=data.dones,
            timeout=data.timeouts,
            target=targets,
        )
        for index, critic in enumerate(critics):
            self._target.q[index] = critic.output.data_ptr()
        self._target.alive += critics
        forwards = [critic.forward(data.next_transitions) for critic in critics]
        return [actor.forward(data.next_observations), self._smoothing, *forwards, self._target], targets

    def _update_critics(self, critics: list[Network], targets: Tensor) -> list[Operation]:
        data = self.minibatch
        operations: list[Operation] = []
        for network in critics:
            run = Pass(network, data.batch, self._rooms[0])
            grad = torch.empty_like(run.output)
            error: TDError = TDError.of(
                rows=data.batch, scale=1.0, q=run.output, target=targets, grad=grad, loss=self._critic_loss
            )
            operations += [run.forward(data.transitions), error, run.backward(grad)]
        return [*operations, self._critic_adam]

    def _update_actor(self, network: Network, first_critic: Network) -> list[Operation]:
        """By the first critic's gradient, of whose weights none is wanted; the critics' data is used up by now."""
        data = self.minibatch
        critic, actor = (
            Pass(one, data.batch, room) for one, room in zip((first_critic, network), self._rooms, strict=True)
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


class _Online:
    def __init__(self, model: TD3) -> None:
        self.actor, self.critic = model.actor, model.critic


class _Target:
    def __init__(self, model: TD3) -> None:
        self.actor, self.critic = model.actor_target, model.critic_target


def _mu(actor: nn.Module) -> SparseSequential:
    mu = actor.get_submodule("mu")
    assert isinstance(mu, SparseSequential)
    return mu


def _critics(critic: nn.Module, gradients: bool = False) -> list[Network]:
    found = [module for name, module in critic.named_children() if name.startswith("qf")]
    return [Network(module, gradients) for module in found if isinstance(module, SparseSequential)]


def _merged(networks: list[Network]) -> Mapping[nn.Parameter, Tensor]:
    return {parameter: gradient for network in networks for parameter, gradient in network.gradients.items()}
