"""Passes by connections: operations of the kernel library."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_agents.ops import NativeNetwork
from sparse_agents.ops.program import Ascend, Backward, Fit, Forward, Step
from sparse_agents.training.networks import Layer, Network, Pass, Room


class SparseNetwork(Network):
    """Compiled for its topology."""

    def __init__(self, layers: Sequence[Layer], gradients: bool = False) -> None:
        super().__init__(layers, gradients)
        activations = [layer.activation for layer in self.layers]
        self.native = NativeNetwork([layer.edges for layer in self.layers], activations, self.dtype)

    def workspace_size(self, batch: int) -> int:
        return self.native.workspace_size(batch)

    def fit(self, x: Tensor, targets: Tensor, scale: float, loss: Tensor, room: Room) -> Sequence[Step]:
        operation: Fit = Fit.of(
            network=self.native.handle,
            batch=len(x),
            scale=scale,
            x=x,
            weight=self.weights,
            bias=self.biases,
            target=targets,
            grad_weight=self.gradients_of(self.weights),
            grad_bias=self.gradients_of(self.biases),
            loss=loss,
        )
        operation.alive.append(self)
        return [operation]

    def ascend(
        self, critic: Network, observations: Tensor, transitions: Tensor, loss: Tensor, rooms: tuple[Room, Room]
    ) -> Sequence[Step]:
        if not isinstance(critic, SparseNetwork):
            return super().ascend(critic, observations, transitions, loss, rooms)
        operation: Ascend = Ascend.of(
            network=self.native.handle,
            critic=critic.native.handle,
            batch=len(observations),
            scale=-1.0,
            x=observations,
            weight=self.weights,
            bias=self.biases,
            critic_weight=critic.weights,
            critic_bias=critic.biases,
            grad_weight=self.gradients_of(self.weights),
            grad_bias=self.gradients_of(self.biases),
            mean=loss,
        )
        operation.alive += [self, critic]
        return [operation]

    def new_pass(self, batch: int, room: Room | None = None) -> Pass:
        return SparsePass(self, batch, None if room is None else room.of(self, batch))


class SparsePass(Pass):
    """One operation forward, one backward."""

    def __init__(self, network: SparseNetwork, batch: int, workspace: Tensor | None) -> None:
        self.output = torch.empty(batch, network.out_features, dtype=network.dtype)
        self._network, self._batch, self._workspace = network, batch, workspace

    def forward(self, x: Tensor) -> Forward:
        operation: Forward = Forward.of(
            network=self._network.native.handle,
            batch=self._batch,
            x=x,
            weight=self._network.weights,
            bias=self._network.biases,
            workspace=self._workspace,
            y=self.output,
        )
        operation.alive.append(self._network)
        return operation

    def backward(self, grad: Tensor, grad_x: Tensor | None = None, parameters: bool = True) -> Backward:
        assert self._workspace is not None
        network = self._network
        nothing: Sequence[None] = [None] * len(network.weights)
        operation: Backward = Backward.of(
            network=self._network.native.handle,
            batch=self._batch,
            workspace=self._workspace,
            weight=self._network.weights,
            grad_y=grad,
            grad_x=grad_x,
            grad_weight=network.gradients_of(network.weights) if parameters else nothing,
            grad_bias=network.gradients_of(network.biases) if parameters else nothing,
        )
        operation.alive.append(self._network)
        return operation
