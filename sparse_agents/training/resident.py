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


class DeviceBuffer:
    """A plain replay buffer where a CUDA device finds it.

    Args:
        buffer: the replay buffer.
        device: where it is wanted.

    Attributes:
        tables: :data:`ARRAYS` of it.
        size: ``[1]`` int64, of transitions.
    """

    def __init__(self, buffer: ReplayBuffer, device: torch.device) -> None:
        self._buffer, self._arrays = buffer, _arrays(buffer)
        self.device = device
        self.size = torch.ones(1, dtype=torch.int64, device=device)
        self.tables = _tables(self._arrays, device)
        self._brought = 0
        self._bring(0, buffer.buffer_size if buffer.full else buffer.pos)

    def holds(self, buffer: ReplayBuffer, device: torch.device) -> bool:
        """Whether it is this buffer, with the arrays it had."""
        same = all(array is self._arrays[name] for name, array in _arrays(buffer).items())
        return buffer is self._buffer and device == self.device and same

    def refresh(self) -> None:
        """Bring what the buffer was given since the last time: fewer transitions than it holds."""
        buffer = self._buffer
        if buffer.pos < self._brought:
            self._bring(self._brought, buffer.buffer_size)
            self._brought = 0
        self._bring(self._brought, buffer.pos)

    def _bring(self, first: int, last: int) -> None:
        for table in self.tables.values():
            if first < last:
                table.bring(first, last)
        self._brought = self._buffer.pos
        self.size.fill_(self._buffer.size() * self._buffer.n_envs)


class DeviceBuffers:
    """The buffer that an agent's steps draw from: the next step finds it where the one before had it."""

    def __init__(self) -> None:
        self._last: DeviceBuffer | None = None

    def of(self, buffer: ReplayBuffer, device: torch.device) -> DeviceBuffer:
        """As it is now."""
        if self._last is None or not self._last.holds(buffer, device):
            self._last = None  # there may not be room for two
            self._last = DeviceBuffer(buffer, device)
        self._last.refresh()
        return self._last


class Resident(Minibatch):
    """Of a buffer on the device: rows are drawn by torch's generator there.

    Every transition is as likely as the others, as where Stable-Baselines3 draws, but others come.

    Args:
        buffer: the replay buffer.
        held: the same, on the device.
        batch: transitions.
    """

    on_device = True

    def __init__(self, buffer: ReplayBuffer, held: DeviceBuffer, batch: int) -> None:
        super().__init__(buffer, batch, torch.float32)
        self._held = held
        self._rows = torch.zeros(batch, dtype=torch.int64, device=held.device)

    def refresh(self) -> None:
        self._held.refresh()

    def draw(self) -> None:
        """Of 2⁶³ numbers: none is favoured by more than a millionth of a millionth."""
        self._rows.random_().remainder_(self._held.size)

    def operations(self) -> Sequence[Operation]:
        return [gather(self, self._rows, {name: table.tensor for name, table in self._held.tables.items()})]


def _arrays(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    return {name: getattr(buffer, name) for name in ARRAYS}


def _tables(arrays: Mapping[str, NDArray[Any]], device: torch.device) -> Mapping[str, Copied | Pinned]:
    """On the device where there is room."""
    size = sum(array.nbytes for array in arrays.values())
    if device.type == "cuda" and size > SHARE_OF_MEMORY * _free(device):
        return {name: Pinned(array) for name, array in arrays.items()}
    return {name: Copied(array, device) for name, array in arrays.items()}


def _free(device: torch.device) -> int:
    """Bytes, those that torch keeps for what may come among them."""
    unused: int = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
