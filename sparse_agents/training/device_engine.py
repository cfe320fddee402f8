"""Updates on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sparse_agents.ops.cuda import DeviceProgram, Launcher, OwnRows
from sparse_agents.ops.program import Step
from sparse_agents.training.device_passes import DeviceNetwork, SideBySide
from sparse_agents.training.engine import Engine, Runnable
from sparse_agents.training.networks import Ensemble, Layer, Network
from sparse_agents.training.replay import Minibatch, is_plain, minibatch_of
from sparse_agents.training.resident import DeviceBuffers, Resident


class DeviceEngine(Engine):
    """Kernels, one launch of a graph for all of them where minibatches are drawn on the device, too.

    Args:
        launcher: for kernels on the device.
        buffers: of the agent.
    """

    def __init__(self, launcher: Launcher, buffers: DeviceBuffers) -> None:
        super().__init__()
        self._launcher, self._buffers, self._rows = launcher, buffers, OwnRows()

    def sparse_network(self, layers: Sequence[Layer], gradients: bool) -> Network:
        return DeviceNetwork(layers, gradients, self._launcher, self._rows)

    def ensemble(self, networks: Sequence[Network]) -> Ensemble:
        small = [one for one in networks if isinstance(one, DeviceNetwork) and one.small]
        return SideBySide(small) if len(small) == len(networks) else Ensemble(networks)

    def minibatch(self, model: Any, batch: int, dtype: torch.dtype) -> Minibatch:
        if is_plain(model):
            buffer = model.replay_buffer
            return Resident(buffer, self._buffers.of(buffer, model.device), batch)
        return minibatch_of(model, batch, dtype)

    def program(self, steps: Sequence[Step], minibatch: Minibatch) -> Runnable:
        return DeviceProgram(steps, self._launcher, capture=minibatch.on_device)
