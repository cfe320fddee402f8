"""How far topologies are from where they began, whatever units are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import topology_distance
from sparse_agents.nn import SparseLinear
from sparse_agents.topology import Edges


class Distance(Monitor):
    """``topology/distance/…``: the sparse topology distance of each linear layer from the first topology, at every
    fiftieth record. Needs SciPy, and seconds in networks of thousands of units.
    """

    every: ClassVar[int] = 50

    def __init__(self) -> None:
        self._first: dict[str, tuple[tuple[int, int], Tensor]] = {}

    def begin(self, watched: Watched) -> None:
        for chain in _chains(watched):
            for name, layer in chain.items():
                self._first.setdefault(name, (layer.topology.shape, layer.topology.edges.ids))

    def record(self, watched: Watched, log: Log) -> None:
        for chain in _chains(watched):
            then = [Edges.from_ids(ids, shape) for shape, ids in map(self._first.__getitem__, chain)]
            now = [layer.topology.edges for layer in chain.values()]
            for name, distance in zip(chain, topology_distance(then, now), strict=True):
                log.layer(f"topology/distance/{name}", distance)


def _chains(watched: Watched) -> Sequence[Mapping[str, SparseLinear]]:
    """Of each network the sparse linear layers from its first one on, as far as each feeds the next."""
    chains = []
    for part in watched.policy.parts():
        chain: dict[str, SparseLinear] = {}
        for name, layer in part.layers().items():
            if not isinstance(layer, SparseLinear) or (
                chain and next(reversed(chain.values())).out_features != layer.in_features
            ):
                break
            chain[name] = layer
        chains.append(chain)
    return chains
