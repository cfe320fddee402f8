"""Launches on a CUDA device."""

from __future__ import annotations

import ctypes
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from sparse_agents.ops.cuda import compiler
from sparse_agents.ops.cuda.geometry import Processor
from sparse_agents.ops.cuda.kernel import Grid, Kernel

USUAL_SHARED_BYTES = 48 * 1024
"""Of a block, without asking for more."""
OLDEST = (8, 0)
"""Compute capability that has asynchronous copies into shared memory."""


class DeviceLauncher:
    """Compiles a kernel when it is first wanted, and launches on torch's current stream.

    Args:
        index: of the device.
    """

    def __init__(self, index: int) -> None:
        from cuda.bindings import driver

        self._driver: Any = driver
        self._index = index
        self._functions: dict[Kernel, Any] = {}
        about = torch.cuda.get_device_properties(index)
        self._architecture = f"sm_{about.major}{about.minor}"
        optin = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        (shared,) = self._checked(driver.cuDeviceGetAttribute(optin, index))
        self.processor = Processor(about.multi_processor_count, shared)
        (self._context,) = self._checked(driver.cuDevicePrimaryCtxRetain(index))  # torch's
        self._entered = threading.local()

    def launch(self, kernel: Kernel, grid: Grid, block: Grid, shared: int, arguments: Sequence[Any]) -> None:
        """See :class:`sparse_agents.ops.cuda.Launcher`. Empty grids are nothing to do."""
        if 0 in grid:
            return
        with torch.cuda.device(self._index):
            self._enter()
            function = self._functions.get(kernel)
            if function is None:
                function = self._functions[kernel] = self._load(kernel)
            pointers = (ctypes.c_void_p * len(arguments))(*[ctypes.addressof(one) for one in arguments])
            stream = torch.cuda.current_stream().cuda_stream
            self._checked(
                self._driver.cuLaunchKernel(function, *grid, *block, shared, stream, ctypes.addressof(pointers), 0)
            )

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See :class:`sparse_agents.ops.cuda.Launcher`. Every kernel must have been launched before."""
        graph = torch.cuda.CUDAGraph()
        # On a stream of this device: torch has one for all, of the device that captured first.
        with torch.cuda.device(self._index), torch.cuda.graph(graph, stream=torch.cuda.Stream(self._index)):
            work()
        replay: Callable[[], None] = graph.replay
        return replay

    def _enter(self) -> None:
        """A thread has no context before it asks the runtime for something, which autograd's may not have done."""
        if "done" not in vars(self._entered):
            (current,) = self._checked(self._driver.cuCtxGetCurrent())
            if not int(current):
                self._checked(self._driver.cuCtxSetCurrent(self._context))
            self._entered.done = True

    def _load(self, kernel: Kernel) -> Any:
        (module,) = self._checked(self._driver.cuModuleLoadData(compiler.cubin(kernel, self._architecture)))
        (function,) = self._checked(self._driver.cuModuleGetFunction(module, kernel.name.encode()))
        most = self._driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        if self.processor.shared_bytes > USUAL_SHARED_BYTES:
            self._checked(self._driver.cuFuncSetAttribute(function, most, self.processor.shared_bytes))
        return function

    def _checked(self, result: tuple[Any, ...]) -> tuple[Any, ...]:
        code, *values = result
        if int(code):
            raise RuntimeError(f"CUDA: {code.name} (device {self._index})")
        return tuple(values)


def launcher_for(device: torch.device) -> DeviceLauncher | None:
    """The one of a CUDA device; None, and a warning once, where there are :func:`no_kernels`."""
    return _launcher(torch.cuda.current_device() if device.index is None else device.index)


def no_kernels(device: torch.device) -> str | None:
    """Why none run on a CUDA device, or None."""
    if not compiler.available():
        return compiler.NEEDED
    found = torch.cuda.get_device_capability(device)
    if found < OLDEST:
        return "kernels for CUDA devices need compute capability {}.{}, and this one has {}.{}.".format(*OLDEST, *found)
    return None


@cache
def _launcher(index: int) -> DeviceLauncher | None:
    reason = no_kernels(torch.device("cuda", index))
    if reason is not None:
        warnings.warn(f"sparse_agents computes slowly on this device, by torch alone: {reason}", stacklevel=2)
        return None
    return DeviceLauncher(index)
