"""What layers look like."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import connectivity


class Pictures(Monitor):
    """At every fiftieth record, ``pictures/…``: the magnitudes of a layer's weights, inputs from left to right, outputs
    from top to bottom, in blocks where there are more than 128; ``changes/…``: how far these have come since the
    picture before.
    """

    every: ClassVar[int] = 50

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}

    def record(self, watched: Watched, log: Log) -> None:
        for name, layer in watched.layers.items():
            picture = connectivity(layer.topology.edges, layer.weight).cpu()
            log.picture(f"pictures/{name}", picture.numpy())
            if name in self._before:
                log.picture(f"changes/{name}", (picture - self._before[name]).abs().numpy())
            self._before[name] = picture
