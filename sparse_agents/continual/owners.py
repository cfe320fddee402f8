"""Which task each connection belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sparse_agents.continual.network import Network
from sparse_agents.nn import SparseLayer
from sparse_agents.topology import Rewire


class Owners:
    """A task for every connection of some networks, kept through rewiring.

    Args:
        networks: by name.
        owner: of every connection to begin with.

    Attributes:
        of: ``[nnz]`` int64 by the layer's key.
    """

    def __init__(self, networks: Mapping[str, Network], owner: int = 0) -> None:
        self._layers = [
            (network, name, layer) for network in networks.values() for name, layer in network.layers.items()
        ]
        self.of = {
            network.key(name): torch.full((layer.topology.nnz,), owner, device=layer.weight.device)
            for network, name, layer in self._layers
        }

    def layers(self) -> Iterator[tuple[Network, str, SparseLayer, Tensor]]:
        """Networks, names of layers, layers, owners of their connections."""
        for network, name, layer in self._layers:
            yield network, name, layer, self.of[network.key(name)]

    def up_to(self, task: int | None) -> dict[SparseLayer, Tensor]:
        """Bool ``[nnz]`` of each layer: the connections of a task and of those before it; all for None."""
        return {
            layer: torch.ones_like(owner, dtype=torch.bool) if task is None else owner <= task
            for _, _, layer, owner in self.layers()
        }

    def rewire(self, network: Network, name: str, rewire: Rewire, task: int) -> None:
        """Give a layer other connections; new ones belong to a task."""
        network.rewire(name, rewire)
        self.of[network.key(name)] = rewire.follow(self.of[network.key(name)], task)
