"""What monitors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.topology import Rewire


class Monitor(ABC):
    """Writes some figures of an agent from time to time.

    Holds plain values and tensors alone: it is saved with the run, and goes on with it.
    """

    every: ClassVar[int] = 1
    """One in so many records is written."""

    def begin(self, watched: Watched) -> None:  # noqa: B027  most have nothing to remember
        """Training begins, or goes on."""

    def rewired(self, name: str, rewire: Rewire) -> None:  # noqa: B027
        """A layer has other connections now."""

    @abstractmethod
    def record(self, watched: Watched, log: Log) -> None:
        """Write what there is to write."""
