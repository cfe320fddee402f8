"""Passes by connections on a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparse_agents.ops.cuda import Launcher, cuda_network
from sparse_agents.training.networks import Layer, Network, Pass, Room


class DeviceNetwork(Network):
    """Laid out for its topology."""

    def __init__(self, layers: Sequence[Layer], gradients: bool, launcher: Launcher) -> None:
        super().__init__(layers, gradients)
        activations = [layer.activation for layer in self.layers]
        self.cuda = cuda_network([layer.edges for layer in self.layers], activations, launcher)

    def workspace_size(self, batch: int) -> int:
        return self.cuda.workspace_size(batch)

    def new_pass(self, batch: int, room: Room | None = None) -> Pass:
        return DevicePass(self, batch, None if room is None else room.of(self, batch))


class DevicePass(Pass):
    """A few launches forward, a few backward."""

    def __init__(self, network: DeviceNetwork, batch: int, memory: Tensor | None) -> None:
        self.output = torch.empty(batch, network.out_features, dtype=network.dtype)
        self._network, self._batch = network, batch
        self._workspace = None if memory is None else network.cuda.workspace(batch, memory)

    def forward(self, x: Tensor) -> Callable[[], None]:
        network, batch, workspace, output = self._network, self._batch, self._workspace, self.output

        def run() -> None:
            network.cuda.forward(x, batch, network.weights, network.biases, workspace, output)

        return run

    def backward(self, grad: Tensor, grad_x: Tensor | None = None, parameters: bool = True) -> Callable[[], None]:
        network, batch, workspace = self._network, self._batch, self._workspace
        assert workspace is not None
        nothing: Sequence[None] = [None] * len(network.weights)
        by_weight = network.gradients_of(network.weights) if parameters else nothing
        by_bias = network.gradients_of(network.biases) if parameters else nothing

        def run() -> None:
            network.cuda.backward(batch, workspace, network.weights, grad, grad_x, by_weight, by_bias)

        return run
