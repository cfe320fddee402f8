"""A replay buffer where a CUDA device finds it, which draws minibatches by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer

from sparse_agents.ops.program import Operation
from sparse_agents.training.replay import ARRAYS, Minibatch, gather

SHARE_OF_MEMORY = 0.5
"""Of what is free on the device, for a buffer to be copied there."""


class Copied:
    """A buffer's array as a tensor on the device.

    Attributes:
        tensor: ``[rows, environments, ...]``.
    """

    def __init__(self, array: NDArray[Any], device: torch.device) -> None:
        self._host = torch.from_numpy(array)
        self.tensor = torch.empty_like(self._host, device=device)

    def bring(self, first: int, last: int) -> None:
        """Rows that are new."""
        self.tensor[first:last].copy_(self._host[first:last])


class Pinned:
    """A buffer's array where it is, in memory of the host that the device may read.

    Attributes:
        tensor: ``[rows, environments, ...]``, of the host.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.tensor = torch.from_numpy(array)
        self._runtime: Any = torch.cuda.cudart()
        torch.cuda.check_error(int(self._runtime.cudaHostRegister(array.ctypes.data, array.nbytes, 0)))

    def bring(self, first: int, last: int) -> None:
        """They are there."""

    def __del__(self) -> None:
        self._runtime.cudaHostUnregister(self.tensor.data_ptr())


class Resident(Minibatch):
    """Of a plain replay buffer: rows are drawn by torch's generator of the device.

    Every transition is as likely as the others, as where Stable-Baselines3 draws, but others come.

    Args:
        buffer: the replay buffer.
        batch: transitions.
        device: where minibatches are wanted.
    """

    on_device = True

    def __init__(self, buffer: ReplayBuffer, batch: int, device: torch.device) -> None:
        super().__init__(buffer, batch, torch.float32)
        self._rows = torch.zeros(batch, dtype=torch.int64, device=device)
        self._size = torch.ones(1, dtype=torch.int64, device=device)
        self._tables = _tables({name: getattr(buffer, name) for name in ARRAYS}, device)
        self._brought = 0
        self._bring(0, buffer.buffer_size if buffer.full else buffer.pos)

    def refresh(self) -> None:
        """Bring what the buffer was given since the last time: fewer transitions than it holds."""
        buffer = self.buffer
        if buffer.pos < self._brought:
            self._bring(self._brought, buffer.buffer_size)
            self._brought = 0
        self._bring(self._brought, buffer.pos)

    def _bring(self, first: int, last: int) -> None:
        for table in self._tables.values():
            if first < last:
                table.bring(first, last)
        self._brought = self.buffer.pos
        self._size.fill_(self.buffer.size() * self.buffer.n_envs)

    def draw(self) -> None:
        """Of 2⁶³ numbers: none is favoured by more than a millionth of a millionth."""
        self._rows.random_().remainder_(self._size)

    def operations(self) -> Sequence[Operation]:
        return [gather(self, self._rows, {name: table.tensor for name, table in self._tables.items()})]


def _tables(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> Mapping[str, Copied | Pinned]:
    """On the device where there is room."""
    size = sum(array.nbytes for array in arrays.values())
    if device.type == "cuda" and size > SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
        return {name: Pinned(array) for name, array in arrays.items()}
    return {name: Copied(array, device) for name, array in arrays.items()}
