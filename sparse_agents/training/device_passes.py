"""Passes by connections on a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops.cuda import Chains, FindRows, Flow, Launcher, SmallNetwork, cuda_network
from sparse_agents.ops.program import Step
from sparse_agents.topology import Edges
from sparse_agents.training.networks import Ensemble, EnsemblePass, Layer, Network, Pass, Room


class DeviceNetwork(Network):
    """Laid out for its topology."""

    def __init__(self, layers: Sequence[Layer], gradients: bool, launcher: Launcher, rows: FindRows) -> None:
        super().__init__(layers, gradients)
        activations = [layer.activation for layer in self.layers]
        self.cuda = cuda_network([layer.edges for layer in self.layers], activations, launcher, rows)

    @property
    def small(self) -> bool:
        """Whether a block goes through all of it."""
        return isinstance(self.cuda, SmallNetwork)

    def connect(self, edges: Sequence[Edges]) -> bool:
        return self.cuda.connect(edges)

    def workspace_size(self, batch: int) -> int:
        return self.cuda.workspace_size(batch)

    def new_pass(self, batch: int, room: Room | None = None) -> DevicePass:
        return DevicePass(self, batch, None if room is None else room.of(self, batch))

    def fit(self, x: Tensor, targets: Tensor, scale: float, loss: Tensor, room: Room) -> Sequence[Step]:
        if not self.small:
            return super().fit(x, targets, scale, loss, room)
        return SideBySide([self]).fit(x, targets, scale, loss, room)

    def ascend(
        self, critic: Network, observations: Tensor, transitions: Tensor, loss: Tensor, rooms: tuple[Room, Room]
    ) -> Sequence[Step]:
        if not (self.small and isinstance(critic, DeviceNetwork) and critic.small):
            return super().ascend(critic, observations, transitions, loss, rooms)
        chains = Chains([self.flow(x=observations, **self.gradients_wanted()), critic.flow()], len(observations))
        return [lambda: chains.ascend(-1.0, loss)]

    def flow(self, **of: Any) -> Flow:
        """Through a small network; see :class:`sparse_agents.ops.cuda.Flow`."""
        return Flow(self.cuda, self.weights, self.biases, **of)

    def gradients_wanted(self) -> dict[str, Any]:
        """All of the parameters', for :meth:`flow`."""
        weights, biases = self.gradients_of(self.weights), self.gradients_of(self.biases)
        return {"grad_weights": weights, "grad_biases": biases}


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


class SideBySide(Ensemble):
    """Small networks, in the same launch."""

    def __init__(self, networks: Sequence[DeviceNetwork]) -> None:
        super().__init__(networks)
        self._small = networks

    def new_pass(self, batch: int, rooms: Sequence[Room] | None = None) -> EnsemblePass:
        return PassSideBySide(self._small, batch, rooms)

    def fit(self, x: Tensor, targets: Tensor, scale: float, loss: Tensor, room: Room) -> Sequence[Step]:
        chains = Chains([one.flow(x=x, **one.gradients_wanted()) for one in self._small], len(x))
        return [lambda: chains.fit(targets, scale, loss)]


class PassSideBySide(EnsemblePass):
    """One launch forward, one backward."""

    def __init__(self, networks: Sequence[DeviceNetwork], batch: int, rooms: Sequence[Room] | None) -> None:
        self.outputs = [torch.empty(batch, one.out_features, dtype=one.dtype) for one in networks]
        self._networks, self._batch = networks, batch
        self._memory: Sequence[Tensor | None] = [None] * len(networks)
        if rooms is not None:
            self._memory = [room.of(one, batch) for one, room in zip(networks, rooms, strict=True)]

    def forward(self, x: Tensor) -> Sequence[Step]:
        given = zip(self._networks, self.outputs, self._memory, strict=True)
        return [Chains([one.flow(x=x, y=y, workspace=memory) for one, y, memory in given], self._batch).forward]

    def backward(self, grads: Sequence[Tensor], grads_x: Sequence[Tensor]) -> Sequence[Step]:
        given = zip(self._networks, self._memory, grads, grads_x, strict=True)
        flows = [one.flow(workspace=memory, grad_y=grad, grad_x=grad_x) for one, memory, grad, grad_x in given]
        return [Chains(flows, self._batch).backward]
