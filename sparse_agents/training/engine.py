"""Where, and by what, an update is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import nn

from sparse_agents.ops.program import Program, Step
from sparse_agents.training.dense_passes import DenseNetwork
from sparse_agents.training.networks import Ensemble, Layer, Network, computes_densely, layers_of, stretch_of
from sparse_agents.training.replay import Minibatch, minibatch_of
from sparse_agents.training.sparse_passes import SparseNetwork


class Runnable(Protocol):
    """A program."""

    def run(self) -> None:
        """All of its steps, one after the other."""


class Engine(ABC):
    """Makes what an update consists of."""

    def __init__(self) -> None:
        self._made: list[tuple[Network, Callable[[], Sequence[Layer]]]] = []

    def network_of(self, module: nn.Module, gradients: bool = False) -> Network:
        """All of it linear layers and activations, see :func:`stretch_of`."""
        stretch = stretch_of(module)
        assert stretch is not None
        return self.network(partial(layers_of, stretch), computes_densely(stretch), gradients)

    def network(self, layers: Callable[[], Sequence[Layer]], dense: bool, gradients: bool) -> Network:
        """By dense matrices or by connections.

        Args:
            layers: what gives them as they are at the moment.
            dense: which of the two.
            gradients: whether the parameters' will be wanted.
        """
        network = DenseNetwork(layers(), gradients) if dense else self.sparse_network(layers(), gradients)
        self._made.append((network, layers))
        return network

    def follow(self) -> bool:
        """Have all networks take over the connections that there are now; False: it takes other networks."""
        return all(network.follow(layers()) for network, layers in self._made)

    @abstractmethod
    def sparse_network(self, layers: Sequence[Layer], gradients: bool) -> Network:
        """By connections."""

    def ensemble(self, networks: Sequence[Network]) -> Ensemble:
        """Networks that are shown the same."""
        return Ensemble(networks)

    @abstractmethod
    def minibatch(self, model: Any, batch: int, dtype: torch.dtype) -> Minibatch:
        """What draws transitions from an agent's replay buffer."""

    @abstractmethod
    def program(self, steps: Sequence[Step], minibatch: Minibatch) -> Runnable:
        """Steps of an update of such minibatches as a whole."""


class HostEngine(Engine):
    """The processor, by the kernel library."""

    def sparse_network(self, layers: Sequence[Layer], gradients: bool) -> Network:
        return SparseNetwork(layers, gradients)

    def minibatch(self, model: Any, batch: int, dtype: torch.dtype) -> Minibatch:
        return minibatch_of(model, batch, dtype)

    def program(self, steps: Sequence[Step], minibatch: Minibatch) -> Runnable:
        return Program(steps, minibatch.dtype)
