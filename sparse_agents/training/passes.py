"""A network's passes as operations of a program, on memory of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from sparse_agents.nn import SparseSequential
from sparse_agents.nn.sequential import Stretch
from sparse_agents.ops import NativeNetwork
from sparse_agents.ops.program import Backward, Forward
from sparse_agents.topology import Edges


class Network:
    """A chain of layers at one moment: compiled, with its parameters and room for their gradients.

    Args:
        edges: of its layers.
        activations: after each of them.
        weights: in slot order.
        biases: None where there is none.
        gradients: whether they will be wanted.
    """

    def __init__(
        self, edges: Sequence[Edges], activations: Sequence[str], weights: Sequence[Tensor],
        biases: Sequence[Tensor | None], gradients: bool = False,
    ) -> None:  # fmt: skip
        self.weights, self.biases = list(weights), list(biases)
        self.dtype = self.weights[0].dtype
        self.native = NativeNetwork(edges, activations, self.dtype)
        held = [p for p in (*self.weights, *self.biases) if p is not None]
        self.gradients = {p: torch.empty_like(p) for p in held} if gradients else {}

    @classmethod
    def of(cls, module: nn.Module, gradients: bool = False) -> Network:
        """All of it linear layers and activations, see :meth:`SparseSequential.stretch`."""
        stretch = stretch_of(module)
        chain = stretch.chain()
        weights, biases = ([getattr(layer, name) for layer in stretch.layers] for name in ("weight", "bias"))
        return cls(chain.edges, chain.activations, weights, biases, gradients)

    @property
    def out_features(self) -> int:
        return self.native.out_features


def stretch_of(module: nn.Module) -> Stretch:
    assert isinstance(module, SparseSequential)
    stretch = module.stretch()
    assert stretch is not None
    return stretch


class Room:
    """Memory that passes use one after the other: what fits into the cache together is fast.

    Args:
        networks: those that will use it.
        batch: samples.
    """

    def __init__(self, networks: Iterable[Network], batch: int) -> None:
        sizes = {network: network.native.workspace_size(batch) for network in networks}
        self._memory = torch.empty(max(sizes.values()), dtype=next(iter(sizes)).dtype)

    def of(self, network: Network, batch: int) -> Tensor:
        """A network's part of it."""
        return self._memory[: network.native.workspace_size(batch)]


class Pass:
    """One forward of a network over a batch, and the backward that belongs to it.

    Args:
        network: the network.
        batch: samples.
        room: where the forward leaves what the backward needs; None: no backward will follow.
    """

    def __init__(self, network: Network, batch: int, room: Room | None = None) -> None:
        self.network, self.batch = network, batch
        self.output = torch.empty(batch, network.out_features, dtype=network.dtype)
        self._workspace = None if room is None else room.of(network, batch)

    def forward(self, x: Tensor) -> Forward:
        """``x``: ``[batch, in_features]``, contiguous. The result will be in ``output``."""
        network = self.network
        operation: Forward = Forward.of(
            network=network.native.handle,
            batch=self.batch,
            x=x,
            weight=network.weights,
            bias=network.biases,
            workspace=self._workspace,
            y=self.output,
        )
        operation.alive.append(network)
        return operation

    def backward(self, grad: Tensor, grad_x: Tensor | None = None, parameters: bool = True) -> Backward:
        """From the gradient of the output to those of the parameters, or of the input, or both."""
        network = self.network
        assert self._workspace is not None
        nothing: Sequence[None] = [None] * len(network.weights)
        operation: Backward = Backward.of(
            network=network.native.handle,
            batch=self.batch,
            workspace=self._workspace,
            weight=network.weights,
            grad_y=grad,
            grad_x=grad_x,
            grad_weight=[network.gradients[w] for w in network.weights] if parameters else nothing,
            grad_bias=[None if b is None else network.gradients[b] for b in network.biases] if parameters else nothing,
        )
        operation.alive.append(network)
        return operation
