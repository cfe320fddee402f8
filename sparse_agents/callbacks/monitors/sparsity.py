"""How many connections there are."""

from __future__ import annotations

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched


class Sparsity(Monitor):
    """``sparsity/…``, ``connections/…``: fraction absent, number present."""

    def record(self, watched: Watched, log: Log) -> None:
        edges = {name: layer.topology.edges for name, layer in watched.layers.items()}
        for name, one in edges.items():
            log.layer(f"sparsity/{name}", 1 - one.density)
            log.layer(f"connections/{name}", one.nnz)
        nnz = sum(one.nnz for one in edges.values())
        log.total("sparsity/total", 1 - nnz / sum(one.size for one in edges.values()))
        log.total("connections/total", nnz)
