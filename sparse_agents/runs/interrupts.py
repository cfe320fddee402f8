"""Ctrl-C, obeyed when a run can be saved."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, obeyed at a moment when a run can be saved."""


class StopRequest:
    """Notes the first Ctrl-C, for :meth:`check` to raise; a second one is obeyed at once, wherever that hits."""

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def listen(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._ask)

    def check(self) -> None:
        """Raises Interrupted where it was asked for."""
        if self._asked:
            raise Interrupted

    def ignore(self) -> None:
        """Ctrl-C does again what it did before."""
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self.ignore()
