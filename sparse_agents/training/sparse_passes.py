"""Passes by connections: operations of the kernel library."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_agents.ops import NativeNetwork
from sparse_agents.ops.program import Backward, Forward
from sparse_agents.training.networks import Layer, Network, Pass, Room


class SparseNetwork(Network):
    """Compiled for its topology."""

    def __init__(self, layers: Sequence[Layer], gradients: bool = False) -> None:
        super().__init__(layers, gradients)
        activations = [layer.activation for layer in self.layers]
        self.native = NativeNetwork([layer.edges for layer in self.layers], activations, self.dtype)

    def workspace_size(self, batch: int) -> int:
        return self.native.workspace_size(batch)

    def new_pass(self, batch: int, room: Room | None = None) -> Pass:
        return SparsePass(self, batch, None if room is None else room.of(self, batch))


class SparsePass(Pass):
    """One operation forward, one backward."""

    def __init__(self, network: SparseNetwork, batch: int, workspace: Tensor | None) -> None:
        self.output = torch.empty(batch, network.out_features, dtype=network.dtype)
        self._network, self._batch, self._workspace = network, batch, workspace
        self._weights = [layer.weight for layer in network.layers]
        self._biases = [layer.bias for layer in network.layers]

    def forward(self, x: Tensor) -> Forward:
        operation: Forward = Forward.of(
            network=self._network.native.handle,
            batch=self._batch,
            x=x,
            weight=self._weights,
            bias=self._biases,
            workspace=self._workspace,
            y=self.output,
        )
        operation.alive.append(self._network)
        return operation

    def backward(self, grad: Tensor, grad_x: Tensor | None = None, parameters: bool = True) -> Backward:
        assert self._workspace is not None
        gradients = self._network.gradients
        nothing: Sequence[None] = [None] * len(self._weights)
        operation: Backward = Backward.of(
            network=self._network.native.handle,
            batch=self._batch,
            workspace=self._workspace,
            weight=self._weights,
            grad_y=grad,
            grad_x=grad_x,
            grad_weight=[gradients[w] for w in self._weights] if parameters else nothing,
            grad_bias=[None if b is None else gradients[b] for b in self._biases] if parameters else nothing,
        )
        operation.alive.append(self._network)
        return operation
