"""Training steps as lists of operations that the kernel library runs in one call.

The structs are those of kernels/include/sparse_agents/operations.h, which says what each does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.ops import library
from sparse_agents.ops.native import DTYPES

_P, _I, _L, _D = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_double
MAX_COLUMNS = MAX_CRITICS = 16


class Operation(ctypes.Structure):
    """One struct; tensors and arrays it points to are given by name, and kept alive.

    Attributes:
        given: what the fields were made of.
        alive: what the struct points to.
    """

    KIND: ClassVar[int]
    kind: int
    given: dict[str, Any]
    alive: list[Any]

    @classmethod
    def of(cls, **fields: Any) -> Any:
        """Tensors become pointers, lists of them arrays of pointers, lists of numbers arrays of int64.

        Arrays lie on torch's default device.
        """
        operation = cls()
        operation.kind = cls.KIND
        operation.given, operation.alive = fields, []
        known = {field[0] for field in cls._fields_}
        for name, value in fields.items():
            if name not in known:
                raise TypeError(f"{cls.__name__} has no field {name!r}.")
            setattr(operation, name, operation._keep(value))
        return operation

    def _keep(self, value: Any) -> Any:
        """As a field holds it; what it points to lives as long as the operation."""
        if isinstance(value, Tensor):
            self.alive.append(value.detach())
            return value.data_ptr()
        if not isinstance(value, list | tuple):
            return value
        array = torch.tensor([self._keep(one) or 0 for one in value], dtype=torch.int64)
        return self._keep(array)

    def point(self, field: str, tensors: Sequence[Tensor]) -> None:
        """Fill an array of pointers that is part of the struct."""
        for index, tensor in enumerate(tensors):
            getattr(self, field)[index] = self._keep(tensor)


class Forward(Operation):
    KIND = 0
    _fields_ = [
        ("kind", _I), ("network", _P), ("batch", _L), ("x", _P), ("weight", _P), ("bias", _P), ("workspace", _P),
        ("y", _P),
    ]  # fmt: skip


class Backward(Operation):
    KIND = 1
    _fields_ = [
        ("kind", _I), ("network", _P), ("batch", _L), ("workspace", _P), ("weight", _P), ("grad_y", _P),
        ("grad_x", _P), ("grad_weight", _P), ("grad_bias", _P),
    ]  # fmt: skip


class Columns(ctypes.Structure):
    _fields_ = [("source_dtype", _I), ("columns", _L), ("out_stride", _L), ("source", _P), ("out", _P)]


class Gather(Operation):
    KIND = 2
    _fields_ = [("kind", _I), ("arrays", _I), ("rows", _L), ("row", _P), ("columns", Columns * MAX_COLUMNS)]

    def add(self, source: Tensor, out: Tensor, out_stride: int) -> None:
        """``source``: ``[rows, environments, ...]``. Rows gathered begin at ``out``, every ``out_stride``."""
        self.alive += [source, out]
        self.columns[self.arrays] = Columns(
            DTYPES[source.dtype], source[0, 0].numel(), out_stride, source.data_ptr(), out.data_ptr()
        )
        self.arrays += 1


class Copy(Operation):
    KIND = 3
    _fields_ = [
        ("kind", _I), ("rows", _L), ("columns", _L), ("from_stride", _L), ("out_stride", _L), ("source", _P),
        ("out", _P),
    ]  # fmt: skip

    @classmethod
    def between(cls, source: Tensor, out: Tensor) -> Copy:
        """From one matrix to another of its shape; both may be some columns of larger ones."""
        rows, columns = source.shape
        strides = {"from_stride": source.stride(0), "out_stride": out.stride(0)}
        operation: Copy = cls.of(rows=rows, columns=columns, **strides, source=source, out=out)
        return operation


class SmoothedAction(Operation):
    KIND = 4
    _fields_ = [
        ("kind", _I), ("rows", _L), ("columns", _L), ("out_stride", _L), ("scale", _D), ("clip", _D), ("action", _P),
        ("noise", _P), ("out", _P),
    ]  # fmt: skip
    scale: float
    clip: float


class TDTarget(Operation):
    KIND = 5
    _fields_ = [
        ("kind", _I), ("critics", _I), ("rows", _L), ("discount", _D), ("q", _P * MAX_CRITICS), ("reward", _P),
        ("done", _P), ("timeout", _P), ("discounts", _P), ("log_prob", _P), ("entropy", _P), ("target", _P),
    ]  # fmt: skip
    discount: float


class TDError(Operation):
    KIND = 6
    _fields_ = [
        ("kind", _I), ("rows", _L), ("scale", _D), ("q", _P), ("target", _P), ("grad", _P), ("loss", _P),
    ]  # fmt: skip


class Mean(Operation):
    KIND = 7
    _fields_ = [("kind", _I), ("rows", _L), ("scale", _D), ("x", _P), ("grad", _P), ("mean", _P)]


class Adam(Operation):
    KIND = 8
    _fields_ = [
        ("kind", _I), ("decoupled", _I), ("tensors", _L), ("learning_rate", _D), ("beta1", _D), ("beta2", _D),
        ("epsilon", _D), ("weight_decay", _D), ("tau", _D), ("size", _P), ("value", _P), ("grad", _P),
        ("moment1", _P), ("moment2", _P), ("step", _P), ("target", _P),
    ]  # fmt: skip
    learning_rate: float
    tau: float


class Polyak(Operation):
    KIND = 9
    _fields_ = [("kind", _I), ("tensors", _L), ("tau", _D), ("size", _P), ("online", _P), ("target", _P)]
    tau: float


class Gaussian(Operation):
    KIND = 10
    _fields_ = [
        ("kind", _I), ("rows", _L), ("columns", _L), ("parameters", _P), ("noise", _P), ("action", _P),
        ("log_prob", _P),
    ]  # fmt: skip


class GaussianGradient(Operation):
    KIND = 11
    _fields_ = [
        ("kind", _I), ("critics", _I), ("rows", _L), ("columns", _L), ("grad_stride", _L), ("entropy", _P),
        ("parameters", _P), ("noise", _P), ("action", _P), ("grad_action", _P * MAX_CRITICS), ("grad", _P),
    ]  # fmt: skip


class Least(Operation):
    KIND = 12
    _fields_ = [
        ("kind", _I), ("critics", _I), ("rows", _L), ("q", _P * MAX_CRITICS), ("grad", _P * MAX_CRITICS),
        ("log_prob", _P), ("entropy", _P), ("loss", _P),
    ]  # fmt: skip


class Entropy(Operation):
    KIND = 13
    _fields_ = [
        ("kind", _I), ("rows", _L), ("target", _D), ("log_prob", _P), ("logarithm", _P), ("grad", _P),
        ("coefficient", _P), ("coefficients", _P), ("loss", _P),
    ]  # fmt: skip
    target: float


class Fit(Operation):
    KIND = 14
    _fields_ = [
        ("kind", _I), ("network", _P), ("batch", _L), ("scale", _D), ("x", _P), ("weight", _P), ("bias", _P),
        ("target", _P), ("grad_weight", _P), ("grad_bias", _P), ("loss", _P),
    ]  # fmt: skip


class Ascend(Operation):
    KIND = 15
    _fields_ = [
        ("kind", _I), ("network", _P), ("critic", _P), ("batch", _L), ("scale", _D), ("x", _P), ("weight", _P),
        ("bias", _P), ("critic_weight", _P), ("critic_bias", _P), ("grad_weight", _P), ("grad_bias", _P),
        ("mean", _P),
    ]  # fmt: skip


Step = Operation | Callable[[], object]
"""Of a program: what the kernel library does, or what Python is called for."""


class Program:
    """One step after the other, neighbouring operations in one call of the kernel library."""

    def __init__(self, steps: Sequence[Step], dtype: torch.dtype) -> None:
        self._calls: list[Callable[[], object]] = []
        for native, group in groupby(steps, lambda step: isinstance(step, Operation)):
            several: list[Any] = list(group)
            self._calls += [_Call(several, dtype)] if native else several

    def run(self) -> None:
        for call in self._calls:
            call()


class _Call:
    """Operations in one call."""

    def __init__(self, operations: Sequence[Operation], dtype: torch.dtype) -> None:
        kernels = library.library()
        assert kernels is not None
        self._run = kernels.sa_program_run
        self._operations = tuple(operations)
        self._pointers = (_P * len(operations))(*[ctypes.addressof(operation) for operation in operations])
        self._count, self._dtype = len(operations), DTYPES[dtype]

    def __call__(self) -> None:
        status = self._run(self._pointers, self._count, self._dtype, library.threads())
        if status:
            library.check(status, "training step")
