"""Which kind of passes a network gets."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sparse_agents.training.dense_passes import DenseNetwork
from sparse_agents.training.networks import Layer, Network, computes_densely, layers_of, stretch_of
from sparse_agents.training.sparse_passes import SparseNetwork


def network_of(module: nn.Module, gradients: bool = False) -> Network:
    """All of it linear layers and activations, see :func:`stretch_of`."""
    stretch = stretch_of(module)
    assert stretch is not None
    return make_network(layers_of(stretch), computes_densely(stretch), gradients)


def make_network(layers: Sequence[Layer], dense: bool, gradients: bool) -> Network:
    """By dense matrices or by connections."""
    return DenseNetwork(layers, gradients) if dense else SparseNetwork(layers, gradients)
