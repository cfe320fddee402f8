"""Minibatches of a replay buffer, drawn as Stable-Baselines3 draws them, where a program finds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor

from sparse_agents.ops.program import Gather, Operation


class Minibatch:
    """The buffers that one minibatch is put into.

    Args:
        buffer: the replay buffer.
        batch: transitions.
        dtype: the networks'.

    Attributes:
        observations, next_observations: ``[batch, observation]``.
        transitions: ``[batch, observation + action]``, what critics see.
        next_transitions: the same of the next observation; its action is for others to fill in.
        rewards, dones, timeouts: ``[batch, 1]``.
        discounts: ``[batch, 1]``, or None where all are alike.
    """

    def __init__(self, buffer: ReplayBuffer, batch: int, dtype: torch.dtype) -> None:
        self.buffer, self.batch, self.dtype = buffer, batch, dtype
        self.observation_dim, self.action_dim = math.prod(buffer.obs_shape), buffer.action_dim  # type: ignore[arg-type]
        both = self.observation_dim + self.action_dim
        self.observations, self.next_observations = (self._room(self.observation_dim) for _ in range(2))
        self.transitions, self.next_transitions = (self._room(both) for _ in range(2))
        self.rewards, self.dones, self.timeouts = (self._room(1) for _ in range(3))
        self.discounts: Tensor | None = None

    def _room(self, columns: int) -> Tensor:
        return torch.zeros(self.batch, columns, dtype=self.dtype)

    def draw(self) -> None:
        """Choose transitions by numpy's global generator."""
        raise NotImplementedError

    def operations(self) -> Sequence[Operation]:
        """What fills the buffers after :meth:`draw`."""
        raise NotImplementedError


class Gathered(Minibatch):
    """Of a plain replay buffer, gathered by the kernel library."""

    def __init__(self, buffer: ReplayBuffer, batch: int, dtype: torch.dtype) -> None:
        super().__init__(buffer, batch, dtype)
        self._rows = torch.empty(batch, dtype=torch.int64)
        self._rows_array: NDArray[np.int64] = self._rows.numpy()

    def draw(self) -> None:
        """Transitions, then which environment's, which draws nothing of one alone."""
        buffer, rows = self.buffer, self._rows_array
        rows[:] = np.random.randint(0, buffer.buffer_size if buffer.full else buffer.pos, size=self.batch)  # noqa: NPY002
        if buffer.n_envs > 1:
            rows *= buffer.n_envs
            rows += np.random.randint(0, high=buffer.n_envs, size=(self.batch,))  # noqa: NPY002

    def operations(self) -> Sequence[Operation]:
        buffer, both = self.buffer, self.transitions.shape[1]
        operation: Gather = Gather.of(arrays=0, rows=self.batch, row=self._rows)
        for source, out, stride in (
            (buffer.observations, self.observations, self.observation_dim),
            (buffer.observations, self.transitions, both),
            (buffer.actions, self.transitions[:, self.observation_dim :], both),
            (buffer.next_observations, self.next_observations, self.observation_dim),
            (buffer.next_observations, self.next_transitions, both),
            (buffer.rewards, self.rewards, 1),
            (buffer.dones, self.dones, 1),
            (buffer.timeouts, self.timeouts, 1),
        ):
            operation.add(torch.from_numpy(source), out, stride)
        return [operation]


class Sampled(Minibatch):
    """As the buffer's own ``sample()`` makes it: normalised, over several steps."""

    def __init__(self, buffer: ReplayBuffer, batch: int, dtype: torch.dtype, normalize: Any) -> None:
        super().__init__(buffer, batch, dtype)
        self._normalize = normalize
        self.discounts = self._room(1) if isinstance(buffer, NStepReplayBuffer) else None

    def draw(self) -> None:
        data: Any = self.buffer.sample(self.batch, env=self._normalize)
        now, then = (o.reshape(self.batch, -1).float() for o in (data.observations, data.next_observations))
        self.observations.copy_(now)
        self.transitions[:, : self.observation_dim] = now
        self.transitions[:, self.observation_dim :] = data.actions
        self.next_observations.copy_(then)
        self.next_transitions[:, : self.observation_dim] = then
        self.rewards.copy_(data.rewards)
        self.dones.copy_(data.dones)  # without those by timeout
        if self.discounts is not None:
            self.discounts.copy_(data.discounts)

    def operations(self) -> Sequence[Operation]:
        return []


def minibatch_of(model: OffPolicyAlgorithm, batch: int, dtype: torch.dtype) -> Minibatch:
    """The fastest that draws what the agent's own ``train()`` would."""
    buffer, normalize = model.replay_buffer, model._vec_normalize_env
    assert isinstance(buffer, ReplayBuffer)
    if type(buffer) is ReplayBuffer and not buffer.optimize_memory_usage and normalize is None:
        return Gathered(buffer, batch, dtype)
    return Sampled(buffer, batch, dtype, normalize)
