"""How topologies change."""

from __future__ import annotations

from torch import Tensor

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import Exploration, overlap
from sparse_agents.topology import Rewire


class Exchange(Monitor):
    """``topology/…``, per layer and in total:

    - ``dropped``, ``grown``: connections exchanged since training began;
    - ``exploration``: the ITOP rate, the fraction of all connections ever tried;
    - ``surviving``: the fraction of the first topology's connections that are there, gone for a while or not;
    - ``kept``: the same of the last record's.
    """

    def __init__(self) -> None:
        self._exploration: dict[str, Exploration] = {}
        self._exchanged: dict[str, list[int]] = {}
        self._first: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}

    def begin(self, watched: Watched) -> None:
        for name, layer in watched.layers.items():
            edges = layer.topology.edges
            if name not in self._first:
                self._exploration[name] = Exploration(edges)
                self._exchanged[name] = [0, 0]
                self._first[name] = self._last[name] = edges.ids

    def rewired(self, name: str, rewire: Rewire) -> None:
        self._exploration[name].add(rewire.edges)
        self._exchanged[name][0] += rewire.dropped
        self._exchanged[name][1] += rewire.grown

    def record(self, watched: Watched, log: Log) -> None:
        sums: dict[str, float] = {}
        size = sum(layer.topology.edges.size for layer in watched.layers.values())
        nnz = sum(layer.topology.nnz for layer in watched.layers.values())
        for name, layer in watched.layers.items():
            edges = layer.topology.edges
            dropped, grown = self._exchanged[name]
            figures = {
                "dropped": (dropped, 1.0),
                "grown": (grown, 1.0),
                "exploration": (self._exploration[name].rate, edges.size / size),
                "surviving": (overlap(edges, self._first[name]), edges.nnz / nnz),
                "kept": (overlap(edges, self._last[name]), edges.nnz / nnz),
            }
            self._last[name] = edges.ids
            for key, (value, share) in figures.items():
                log.layer(f"topology/{key}/{name}", value)
                sums[key] = sums.get(key, 0.0) + value * share
        for key, value in sums.items():
            log.total(f"topology/{key}/total", value)
