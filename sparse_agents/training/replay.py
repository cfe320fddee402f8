"""Minibatches of a replay buffer as operations of a program, drawn as Stable-Baselines3 draws them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from torch import Tensor

from sparse_agents.ops.program import Gather


class Minibatch:
    """The buffers that one minibatch is gathered into.

    Args:
        buffer: a plain replay buffer.
        batch: transitions.
        dtype: the networks'.

    Attributes:
        observations, next_observations: ``[batch, observation]``.
        transitions: ``[batch, observation + action]``, what critics see.
        next_transitions: the same of the next observation; its action is for others to fill in.
        rewards, dones, timeouts: ``[batch]``.
    """

    def __init__(self, buffer: ReplayBuffer, batch: int, dtype: torch.dtype) -> None:
        self.buffer, self.batch, self.dtype = buffer, batch, dtype
        self.observation_dim, self.action_dim = math.prod(buffer.obs_shape), buffer.action_dim  # type: ignore[arg-type]
        both = self.observation_dim + self.action_dim
        self.observations, self.next_observations = (self._room(self.observation_dim) for _ in range(2))
        self.transitions, self.next_transitions = (self._room(both) for _ in range(2))
        self.rewards, self.dones, self.timeouts = (self._room(1) for _ in range(3))
        self._rows = torch.empty(batch, dtype=torch.int64)
        self._rows_array: NDArray[np.int64] = self._rows.numpy()

    def _room(self, columns: int) -> Tensor:
        return torch.empty(self.batch, columns, dtype=self.dtype)

    def draw(self) -> None:
        """By numpy's global generator: transitions, then which environment's, which draws nothing of one alone."""
        buffer, rows = self.buffer, self._rows_array
        rows[:] = np.random.randint(0, buffer.buffer_size if buffer.full else buffer.pos, size=self.batch)  # noqa: NPY002
        if buffer.n_envs > 1:
            rows *= buffer.n_envs
            rows += np.random.randint(0, high=buffer.n_envs, size=(self.batch,))  # noqa: NPY002

    def gather(self) -> Gather:
        """Fill everything, after :meth:`draw`."""
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
        return operation
