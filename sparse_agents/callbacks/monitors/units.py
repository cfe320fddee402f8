"""What hidden units do."""

from __future__ import annotations

from typing import ClassVar

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import dormant_fraction, effective_rank


class Dormant(Monitor):
    """``dormant/…``: the fraction of dormant units on recent transitions, per layer of hidden units and their mean."""

    def record(self, watched: Watched, log: Log) -> None:
        log.layers("dormant", {name: dormant_fraction(output) for name, output in watched.hidden_outputs.items()})


class Rank(Monitor):
    """``rank/…``: the effective rank of what hidden units say on recent transitions, per layer and their mean."""

    every: ClassVar[int] = 50  # singular value decompositions take as long as forty gradient steps

    def record(self, watched: Watched, log: Log) -> None:
        log.layers("rank", {name: float(effective_rank(output)) for name, output in watched.hidden_outputs.items()})
