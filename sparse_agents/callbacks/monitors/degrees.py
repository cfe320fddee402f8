"""How many connections units have."""

from __future__ import annotations

from typing import ClassVar

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import degrees


class Degrees(Monitor):
    """At every tenth record, histograms ``degrees/in/…`` and ``degrees/out/…``, and ``degrees/unfed/…``,
    ``degrees/unread/…``: units without a connection into them, and inputs without one out of them.
    """

    every: ClassVar[int] = 10

    def record(self, watched: Watched, log: Log) -> None:
        for name, layer in watched.layers.items():
            into, out = degrees(layer.topology.edges)
            log.histogram(f"degrees/in/{name}", into)
            log.histogram(f"degrees/out/{name}", out)
            log.layer(f"degrees/unfed/{name}", int((into == 0).sum()))
            log.layer(f"degrees/unread/{name}", int((out == 0).sum()))
