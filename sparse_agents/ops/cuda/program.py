"""Programs of training steps on a CUDA device: a kernel for each operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparse_agents.ops.cuda.kernel import Kernel, Launcher
from sparse_agents.ops.program import (
    Adam,
    Copy,
    Entropy,
    Gather,
    Gaussian,
    GaussianGradient,
    Least,
    Mean,
    Operation,
    Polyak,
    SmoothedAction,
    Step,
    TDError,
    TDTarget,
)

THREADS = 256
BYTES_FOR_SUM = THREADS * 8


@dataclass(frozen=True)
class Launch:
    """Of a kernel that takes an operation's struct.

    Attributes:
        name: of the kernel, in kernels/cuda/program.cu.
        blocks: of :data:`THREADS` threads.
        shared: bytes of shared memory of a block.
    """

    name: str
    blocks: tuple[int, int]
    shared: int = 0


def _elements(name: str) -> Callable[[Any], Sequence[Launch]]:
    return lambda operation: [Launch(name, (_blocks(operation.rows * operation.columns), 1))]


def _rows(name: str) -> Callable[[Any], Sequence[Launch]]:
    return lambda operation: [Launch(name, (_blocks(operation.rows), 1))]


def _sum(name: str) -> Callable[[Any], Sequence[Launch]]:
    return lambda operation: [Launch(name, (1, 1), BYTES_FOR_SUM)]


def _tensors(operation: Any) -> tuple[int, int]:
    return _blocks(max(operation.given["size"], default=0)), operation.tensors


LAUNCHES: dict[type[Operation], Callable[[Any], Sequence[Launch]]] = {
    Gather: lambda operation: [Launch("gather", (operation.rows, 1))],
    Copy: _elements("copy"),
    SmoothedAction: _elements("smoothed_action"),
    TDTarget: _rows("td_target"),
    TDError: _sum("td_error"),
    Mean: _sum("mean"),
    Adam: lambda operation: [
        Launch("adam", _tensors(operation), 8),
        Launch("count_step", (_blocks(operation.tensors), 1)),
    ],
    Polyak: lambda operation: [Launch("polyak", _tensors(operation))],
    Gaussian: _rows("gaussian"),
    GaussianGradient: _elements("gaussian_gradient"),
    Least: _sum("least"),
    Entropy: _sum("entropy"),
}
"""What each operation takes, but for passes through networks."""


class DeviceProgram:
    """One step after the other.

    Args:
        steps: operations of :data:`LAUNCHES`, whose memory is the device's, and what Python is called for.
        launcher: for kernels on that device.
        capture: whether to capture all of them in a graph, which a run launches as a whole; what Python is called for
            then has to be work for the device alone, the same every time. There is a graph for each set of numbers in
            the operations that comes twice: others are not worth a capture.
    """

    KEPT = 8
    """Sets of numbers, at most."""

    def __init__(self, steps: Sequence[Step], launcher: Launcher, capture: bool = False) -> None:
        self._calls = [call for step in steps for call in _calls(step, launcher)]
        self._operations = [step for step in steps if isinstance(step, Operation)]
        self._launcher, self._capture = launcher, capture
        self._graphs: dict[bytes, Callable[[], None] | None] = {}

    def run(self) -> None:
        if not self._capture:
            self._one_by_one()
            return
        numbers = b"".join(map(bytes, self._operations))
        if numbers not in self._graphs:
            if len(self._graphs) == self.KEPT:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[numbers] = None
            self._one_by_one()  # kernels are loaded on the way, which a capture could not
            return
        graph = self._graphs[numbers]
        if graph is None:
            graph = self._graphs[numbers] = self._launcher.capture(self._one_by_one)
        graph()

    def _one_by_one(self) -> None:
        for call in self._calls:
            call()


def _calls(step: Step, launcher: Launcher) -> Iterator[Callable[[], object]]:
    if not isinstance(step, Operation):
        yield step
        return
    for launch in LAUNCHES[type(step)](step):
        yield _call(launch, step, launcher)


def _call(launch: Launch, operation: Operation, launcher: Launcher) -> Callable[[], object]:
    kernel, grid, block = Kernel("program.cu", launch.name), (*launch.blocks, 1), (THREADS, 1, 1)
    return lambda: launcher.launch(kernel, grid, block, launch.shared, (operation,))


def _blocks(count: int) -> int:
    return -(-count // THREADS)
