"""Minibatches of a replay buffer, drawn as Stable-Baselines3 draws them, where a program finds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor

from sparse_agents.ops.program import Gather, Operation

ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
"""Of a plain replay buffer."""


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

    on_device = False
    """Whether :meth:`draw` is nothing but work for a CUDA device."""

    def refresh(self) -> None:
        """Before each call of ``train()``: the buffer may have been given more."""

    def draw(self) -> None:
        """Choose transitions."""
        raise NotImplementedError

    def operations(self) -> Sequence[Operation]:
        """What fills the buffers after :meth:`draw`."""
        raise NotImplementedError


def gather(data: Minibatch, rows: Tensor, arrays: Mapping[str, Tensor]) -> Gather:
    """Rows of a buffer's arrays, :data:`ARRAYS`, into a minibatch.

    Args:
        data: the minibatch.
        rows: ``[batch]`` int64, of transitions; those of one step of several environments follow each other.
        arrays: ``[steps, environments, ...]``, by name.
    """
    operation: Gather = Gather.of(arrays=0, rows=data.batch, row=rows)
    observation, both = data.observation_dim, data.transitions.shape[1]
    for name, out, stride in (
        ("observations", data.observations, observation),
        ("observations", data.transitions, both),
        ("actions", data.transitions[:, observation:], both),
        ("next_observations", data.next_observations, observation),
        ("next_observations", data.next_transitions, both),
        ("rewards", data.rewards, 1),
        ("dones", data.dones, 1),
        ("timeouts", data.timeouts, 1),
    ):
        operation.add(arrays[name], out, stride)
    return operation


class Gathered(Minibatch):
    """Of a plain replay buffer, gathered by the kernel library."""

    def __init__(self, buffer: ReplayBuffer, batch: int, dtype: torch.dtype) -> None:
        super().__init__(buffer, batch, dtype)
        self._rows = torch.empty(batch, dtype=torch.int64)
        self._rows_array: NDArray[np.int64] = self._rows.numpy()

    def draw(self) -> None:
        """By numpy's global generator: transitions, then which environment's, which draws nothing of one alone."""
        buffer, rows = self.buffer, self._rows_array
        rows[:] = np.random.randint(0, buffer.buffer_size if buffer.full else buffer.pos, size=self.batch)  # noqa: NPY002
        if buffer.n_envs > 1:
            rows *= buffer.n_envs
            rows += np.random.randint(0, high=buffer.n_envs, size=(self.batch,))  # noqa: NPY002

    def operations(self) -> Sequence[Operation]:
        return [gather(self, self._rows, {name: torch.from_numpy(getattr(self.buffer, name)) for name in ARRAYS})]


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
    if is_plain(model):
        return Gathered(buffer, batch, dtype)
    return Sampled(buffer, batch, dtype, normalize)


def is_plain(model: OffPolicyAlgorithm) -> bool:
    """Whether minibatches are rows of its replay buffer as they are."""
    buffer: Any = model.replay_buffer
    return type(buffer) is ReplayBuffer and not buffer.optimize_memory_usage and model._vec_normalize_env is None
