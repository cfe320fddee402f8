"""Runs a kernel library's operations on odd sizes in exactly sized memory: ``python sanitized_program.py LIBRARY``.

Like sanitized_kernels.py without torch. Exits with an error where a result differs from numpy's in float64.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np
from sanitized_kernels import Memory, every_isa

KINDS = {"i": ctypes.c_int32, "l": ctypes.c_int64, "d": ctypes.c_double, "p": ctypes.c_void_p}
CRITICS, COLUMNS = 2, 16


class Columns(ctypes.Structure):
    """``sa_columns``."""

    _fields_ = [
        ("dtype", ctypes.c_int32), ("columns", ctypes.c_int64), ("stride", ctypes.c_int64),
        ("source", ctypes.c_void_p), ("out", ctypes.c_void_p),
    ]  # fmt: skip


class Gather(ctypes.Structure):
    """``sa_gather``."""

    _fields_ = [
        ("kind", ctypes.c_int32), ("arrays", ctypes.c_int32), ("rows", ctypes.c_int64), ("row", ctypes.c_void_p),
        ("columns", Columns * COLUMNS),
    ]  # fmt: skip


class Run:
    """Calls one operation after the other on copies of arrays, and compares what they leave.

    Args:
        library: the kernels.
        dtype: of the arrays.
    """

    def __init__(self, library: ctypes.CDLL, dtype: Any) -> None:
        self.library, self.dtype = library, dtype
        self.random = np.random.default_rng(0)

    def memory(self, *shape: int, dtype: Any = None) -> Memory:
        return Memory(self.random.standard_normal(shape).astype(dtype or self.dtype))

    def room(self, *shape: int) -> Memory:
        return Memory(np.empty(shape, self.dtype), fill=True)

    def call(self, kind: int, spec: str, *values: Any) -> None:
        """``spec``: types of the fields after the kind, in order; a digit repeats the next one."""
        fields = [("kind", ctypes.c_int32)]
        count = ""
        for letter in spec:
            if letter.isdigit():
                count += letter
                continue
            field = KINDS[letter] * int(count) if count else KINDS[letter]
            fields.append((f"f{len(fields)}", field))
            count = ""
        operation = type("Operation", (ctypes.Structure,), {"_fields_": fields})()
        operation.kind = kind
        for (name, field), value in zip(fields[1:], values, strict=True):
            if isinstance(value, list):
                array = field()
                for index, one in enumerate(value):
                    array[index] = one.pointer.value
                value = array
            setattr(operation, name, value.pointer.value if isinstance(value, Memory) else value)
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(operation))
        code = 0 if self.dtype is np.float32 else 1
        assert self.library.sa_program_run(pointers, ctypes.c_int64(1), code, 1) == 0, kind

    def table(self, *blocks: Memory) -> Memory:
        """An array of pointers."""
        return Memory(np.array([block.pointer.value for block in blocks], dtype=np.uint64))

    def same(self, found: Memory, expected: Any) -> None:
        tolerance = 2e-4 if self.dtype is np.float32 else 1e-10
        assert np.allclose(found.array, expected, rtol=tolerance, atol=tolerance), np.abs(found.array - expected).max()

    def copies(self, rows: int, columns: int) -> None:
        source, out = self.memory(rows, columns), self.room(rows, columns)
        self.call(3, "llllpp", rows, columns, columns, columns, source, out)
        self.same(out, source.array)

    def optimizers(self, sizes: list[int]) -> None:
        value, grad, first, second, target = ([self.memory(n) for n in sizes] for _ in range(5))
        for block in second:
            np.abs(block.array, out=block.array)
        steps = [Memory(np.full(1, 4, np.float32)) for _ in sizes]
        tables = [self.table(*blocks) for blocks in (value, grad, first, second, steps)]
        targets, size = self.table(*target), Memory(np.array(sizes, np.int64))
        for step, averaged in ((5, targets), (6, None)):
            before = [[b.array.astype(np.float64) for b in blocks] for blocks in (value, grad, first, second, target)]
            settings = (0, len(sizes), 0.1, 0.9, 0.99, 1e-8, 0.01, 0.25)
            self.call(8, "ilddddddppppppp", *settings, size, *tables, averaged)
            for i in range(len(sizes)):
                p, g, m, v, old = (blocks[i] for blocks in before)
                g = g + 0.01 * p
                m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
                p = p - 0.1 / (1 - 0.9**step) * m / (np.sqrt(v) / np.sqrt(1 - 0.99**step) + 1e-8)
                self.same(value[i], p)
                self.same(first[i], m)
                self.same(second[i], v)
                self.same(target[i], old if averaged is None else 0.75 * old + 0.25 * p)
        online, old = ([block.array.astype(np.float64) for block in blocks] for blocks in (value, target))
        self.call(9, "ldppp", len(sizes), 0.25, size, tables[0], targets)
        for i in range(len(sizes)):
            self.same(target[i], 0.75 * old[i] + 0.25 * online[i])

    def temporal_differences(self, rows: int) -> None:
        q = [self.memory(rows) for _ in range(CRITICS)]
        reward, done = self.memory(rows), Memory(np.zeros(rows, self.dtype))
        target, grad = self.room(rows), self.room(rows)
        loss = Memory(np.zeros(1))
        nothing = Memory(np.zeros(rows, self.dtype))
        self.call(5, "ild16pppppppp", CRITICS, rows, 0.5, q, reward, done, nothing, None, None, None, target)
        expected = reward.array + 0.5 * np.minimum(q[0].array, q[1].array)
        self.same(target, expected)
        self.call(6, "ldpppp", rows, 1.0, q[0], target, grad, loss)
        self.same(grad, 2 * (q[0].array - expected) / rows)
        mean = Memory(np.zeros(1))
        self.call(7, "ldppp", rows, -1.0, q[0], grad, mean)
        assert np.isclose(mean.array[0], -q[0].array.mean(), rtol=1e-5)

    def actions(self, rows: int, columns: int) -> None:
        action, noise = self.memory(rows, columns), self.memory(rows, columns, dtype=np.float32)
        out = self.room(rows, columns)
        self.call(4, "lllddppp", rows, columns, columns, 2.0, 0.5, action, noise, out)
        self.same(out, np.clip(action.array + np.clip(2 * noise.array, -0.5, 0.5), -1, 1))
        parameters, noise = self.memory(rows, 2 * columns), self.memory(rows, columns)
        drawn, log_prob = self.room(rows, columns), self.room(rows)
        self.call(10, "llpppp", rows, columns, parameters, noise, drawn, log_prob)
        mean, spread = np.split(parameters.array.astype(np.float64), 2, axis=1)
        self.same(drawn, np.tanh(mean + noise.array * np.exp(np.clip(spread, -20, 2))))
        assert np.isfinite(log_prob.array).all()
        entropy, loss = Memory(np.full(1, 0.2)), Memory(np.zeros(1))
        q, grads = ([self.memory(rows) for _ in range(CRITICS)] for _ in range(2))
        self.call(12, "il16p16pppp", CRITICS, rows, q, grads, log_prob, entropy, loss)
        by_action = [self.memory(rows, columns) for _ in range(CRITICS)]
        gradient = self.room(rows, 2 * columns)
        given = (entropy, parameters, noise, drawn, by_action, gradient)
        self.call(11, "illlpppp16pp", CRITICS, rows, columns, columns, *given)
        assert np.isfinite(gradient.array).all()
        logarithm, grad = self.memory(1), self.room(1)
        coefficient, total = Memory(np.zeros(1)), Memory(np.ones(1))
        self.call(13, "ldpppppp", rows, -1.0, log_prob, logarithm, grad, coefficient, total, loss)
        self.same(coefficient, np.exp(logarithm.array))
        self.same(total, 1 + np.exp(logarithm.array))

    def gathers(self, rows: int, columns: int) -> None:
        source, out = self.memory(50, columns, dtype=np.float64), self.room(rows, columns)
        row = Memory(self.random.integers(0, 50, rows))
        operation = Gather(2, 1, rows, row.pointer.value)
        operation.columns[0] = Columns(1, columns, columns, source.pointer.value, out.pointer.value)
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(operation))
        assert self.library.sa_program_run(pointers, ctypes.c_int64(1), 0 if self.dtype is np.float32 else 1, 1) == 0
        self.same(out, source.array[row.array].astype(np.float32))


def main(path: str) -> None:
    library = ctypes.CDLL(path)
    ran = []
    for name in every_isa(library):
        ran.append(name)
        for dtype in (np.float32, np.float64):
            run = Run(library, dtype)
            run.optimizers([1, 7, 16, 33])
            for rows in (1, 5, 33):
                run.temporal_differences(rows)
                for columns in (1, 3, 17):
                    run.copies(rows, columns)
                    run.actions(rows, columns)
                    run.gathers(rows, columns)
    print(*ran)


if __name__ == "__main__":
    main(sys.argv[1])
