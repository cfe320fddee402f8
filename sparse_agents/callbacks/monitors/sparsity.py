"""How many connections there are."""

from __future__ import annotations

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched


class Sparsity(Monitor):
    """``sparsity/…``, ``connections/…``: fraction absent, number present; in total of all weight matrices of the online
    networks, output layers that are kept dense among them.
    """

    def record(self, watched: Watched, log: Log) -> None:
        edges = {name: layer.topology.edges for name, layer in watched.layers.items()}
        for name, one in edges.items():
            log.layer(f"sparsity/{name}", 1 - one.density)
            log.layer(f"connections/{name}", one.nnz)
        weights = [part.weights() for part in watched.policy.parts()]
        present, dense = (sum(counts) for counts in zip(*weights, strict=True))
        log.total("sparsity/total", 1 - present / dense)
        log.total("connections/total", present)
