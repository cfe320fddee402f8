"""A kernel, and who launches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sparse_agents.ops.cuda.geometry import Processor

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Kernel:
    """One function of a file in kernels/cuda, compiled with some macros.

    Attributes:
        source: name of the file.
        name: of the function.
        defines: values of macros, by name.
    """

    source: str
    name: str
    defines: tuple[tuple[str, int], ...] = ()


class Launcher(Protocol):
    """Starts kernels."""

    processor: Processor

    def launch(self, kernel: Kernel, grid: Grid, block: Grid, shared: int, arguments: Sequence[Any]) -> None:
        """On the current stream.

        Args:
            kernel: which one.
            grid: blocks.
            block: threads of one.
            shared: bytes of dynamic shared memory of a block.
            arguments: as ctypes has them.
        """

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What ``work`` launches, without launching it: the result does, as a whole."""
