"""Runs a kernel library on odd shapes in exactly sized memory: ``python sanitized_kernels.py LIBRARY``.

A script of its own, without torch, so that a library built with sanitizers can be preloaded. Exits
with an error where a result differs from full matrices in float64.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

IDENTITY, RELU, TANH = 0, 1, 2
LIBC = ctypes.CDLL(None)


class Layer(ctypes.Structure):
    """``sa_layer``."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("rows", "cols", "activation")),
        *((name, ctypes.c_void_p) for name in ("row_ptr", "col", "col_ptr", "row", "slot")),
    ]


class Memory:
    """A block of exactly so many bytes, 64-byte aligned, that a sanitizer guards on both sides."""

    def __init__(self, like: Any, fill: bool = False) -> None:
        array = np.ascontiguousarray(like)
        self.pointer = ctypes.c_void_p()
        assert LIBC.posix_memalign(ctypes.byref(self.pointer), 64, ctypes.c_size_t(array.nbytes)) == 0
        view = (ctypes.c_char * array.nbytes).from_address(self.pointer.value or 0)
        self.array = np.ndarray(array.shape, array.dtype, buffer=view if array.nbytes else None)
        self.array[...] = np.nan if fill else array

    def __del__(self) -> None:
        LIBC.free(self.pointer)


class Network:
    """Matrices with some entries missing; dyadic numbers, so that no ReLU is ever undecided."""

    def __init__(self, library: ctypes.CDLL, masks: Sequence[Any], activations: Sequence[int], dtype: Any, seed: int):
        self.library, self.masks, self.activations, self.dtype = library, masks, activations, dtype
        self.random = np.random.default_rng(seed)
        self.matrices = [np.where(m, self.integers(m.shape, 3) / 16, 0) for m in masks]
        self.weights = [Memory(w[m].astype(dtype)) for w, m in zip(self.matrices, masks, strict=True)]
        self.indices = [self.index_arrays(m) for m in masks]
        layers = (Layer * len(masks))()
        for layer, mask, activation, arrays in zip(layers, masks, activations, self.indices, strict=True):
            layer.rows, layer.cols, layer.activation = *mask.shape, activation
            layer.row_ptr, layer.col, layer.col_ptr, layer.row, layer.slot = (a.pointer for a in arrays)
            assert library.sa_layer_check(ctypes.byref(layer)) == 0
        self.handle = ctypes.c_void_p()
        code = 0 if dtype is np.float32 else 1
        assert library.sa_network_create(layers, len(masks), code, ctypes.byref(self.handle)) == 0

    def integers(self, shape: Any, largest: int) -> Any:
        return self.random.integers(1, largest + 1, shape) * self.random.choice([-1, 1], shape)

    @staticmethod
    def index_arrays(mask: Any) -> list[Memory]:
        rows, cols = np.nonzero(mask)
        order = np.lexsort((rows, cols))
        row_ptr = np.concatenate([[0], np.cumsum(mask.sum(1))])
        col_ptr = np.concatenate([[0], np.cumsum(mask.sum(0))])
        return [Memory(a.astype(np.int32)) for a in (row_ptr, cols, col_ptr, rows[order], order)]

    def pointers(self, blocks: Sequence[Memory | None]) -> Any:
        return (ctypes.c_void_p * len(blocks))(*(None if b is None else b.pointer for b in blocks))

    def run(self, batch: int, threads: int, biased: bool, wanted: tuple[bool, bool, bool], keep: bool) -> None:
        """Forward and backward; ``wanted``: weights, biases, input; ``keep``: the gradients of every layer."""
        library = self.library
        rows, cols = self.masks[-1].shape[0], self.masks[0].shape[1]
        biases = [self.integers(m.shape[0], 4) / 8 + 1 / 32 if biased else np.zeros(m.shape[0]) for m in self.masks]
        given = [Memory(b.astype(self.dtype)) if biased else None for b in biases]
        x = Memory(self.integers((batch, cols), 4).astype(self.dtype))
        grad = Memory(self.integers((batch, rows), 4).astype(self.dtype))
        size = library.sa_workspace_bytes(self.handle, ctypes.c_int64(batch)) // np.dtype(self.dtype).itemsize
        workspace, grad_workspace = (Memory(np.empty(size, self.dtype), fill=True) for _ in range(2))
        values = self.forward(x.array.astype(np.float64), biases)
        weights = self.pointers(self.weights)
        for space in (None, workspace):
            y = Memory(np.empty((batch, rows), self.dtype), fill=True)
            status = library.sa_network_forward(
                self.handle, ctypes.c_int64(batch), x.pointer, weights, self.pointers(given),
                None if space is None else space.pointer, y.pointer, threads,
            )  # fmt: skip
            assert status == 0
            self.compare(y.array, values[-1])

        found_weights = [Memory(np.empty_like(w.array), fill=True) if wanted[0] else None for w in self.weights]
        found_biases = [Memory(np.empty(m.shape[0], self.dtype), fill=True) if wanted[1] else None for m in self.masks]
        found_x = Memory(np.empty_like(x.array), fill=True) if wanted[2] else None
        status = library.sa_network_backward(
            self.handle, ctypes.c_int64(batch), workspace.pointer, weights, grad.pointer,
            None if found_x is None else found_x.pointer, 0, self.pointers(found_weights), self.pointers(found_biases),
            grad_workspace.pointer if keep else None, threads,
        )  # fmt: skip
        assert status == 0
        by_x = self.compare_gradients(values, grad.array.astype(np.float64), found_weights, found_biases)
        if found_x is not None:
            self.compare(found_x.array, by_x)
        if rows == 1 and wanted[0]:
            self.fit(x, given, values, threads, wanted[1])
            if cols > 1:
                self.serve(x, given, biases, threads)

    def fit(
        self, x: Memory, biases: Sequence[Memory | None], values: Sequence[Any], threads: int, biased: bool
    ) -> None:
        """Forward, squared error and backward at once."""
        batch = len(x.array)
        target = Memory(self.integers(batch, 4).astype(self.dtype))
        loss = Memory(np.zeros(1))
        by_weights = [Memory(np.empty_like(w.array), fill=True) for w in self.weights]
        by_biases = [Memory(np.empty(m.shape[0], self.dtype), fill=True) if biased else None for m in self.masks]
        status = self.library.sa_network_fit(
            self.handle, ctypes.c_int64(batch), x.pointer, self.pointers(self.weights), self.pointers(biases),
            target.pointer, ctypes.c_double(0.5), self.pointers(by_weights), self.pointers(by_biases), loss.pointer,
            threads,
        )  # fmt: skip
        assert status == 0
        error = values[-1] - target.array.astype(np.float64)[:, None]
        self.compare(loss.array, 0.5 * np.square(error).mean())
        self.compare_gradients(values, error / batch, by_weights, by_biases)

    def serve(self, x: Memory, given: Sequence[Memory | None], biases: Sequence[Any], threads: int) -> None:
        """As the critic of an actor whose action is the last third of the input."""
        (batch, cols), library = x.array.shape, self.library
        actions = (cols + 2) // 3
        shapes = [(20, cols - actions), (actions, 20)]
        actor = Network(library, masks(shapes, 0.5, cols), [TANH, TANH], self.dtype, cols)
        x = Memory(np.ascontiguousarray(x.array[:, : cols - actions]))
        none = [None] * 2
        by_weights = [Memory(np.empty_like(w.array), fill=True) for w in actor.weights]
        by_biases = [Memory(np.empty(m.shape[0], self.dtype), fill=True) for m in actor.masks]
        mean = Memory(np.zeros(1))
        status = library.sa_network_ascend(
            actor.handle, self.handle, ctypes.c_int64(batch), x.pointer, self.pointers(actor.weights),
            self.pointers(none), self.pointers(self.weights), self.pointers(given), ctypes.c_double(-1.0),
            self.pointers(by_weights), self.pointers(by_biases), mean.pointer, threads,
        )  # fmt: skip
        assert status == 0
        values = actor.forward(x.array.astype(np.float64), [0, 0])
        judged = self.forward(np.concatenate([values[0], values[-1]], 1), biases)
        self.compare(mean.array, -judged[-1].mean())
        nothing = [None] * len(self.masks)
        by_input = self.compare_gradients(judged, np.full((batch, 1), -1 / batch), nothing, nothing)
        actor.compare_gradients(values, by_input[:, cols - actions :], by_weights, by_biases)
        library.sa_network_destroy(actor.handle)

    def compare_gradients(
        self, values: Sequence[Any], gradient: Any, weights: Sequence[Memory | None], biases: Sequence[Memory | None]
    ) -> Any:
        """Of what was asked for; returns the gradient of the input."""
        for layer in reversed(range(len(self.masks))):
            if self.activations[layer] == RELU:
                gradient = np.where(values[layer + 1] > 0, gradient, 0)
            elif self.activations[layer] == TANH:
                gradient = gradient * (1 - values[layer + 1] ** 2)
            weight, bias = weights[layer], biases[layer]
            if weight is not None:
                self.compare(weight.array, (gradient.T @ values[layer])[self.masks[layer]])
            if bias is not None:
                self.compare(bias.array, gradient.sum(0))
            gradient = gradient @ self.matrices[layer]
        return gradient

    def forward(self, x: Any, biases: Sequence[Any]) -> list[Any]:
        values = [x]
        for matrix, bias, activation in zip(self.matrices, biases, self.activations, strict=True):
            z = values[-1] @ matrix.T + bias
            assert activation != RELU or np.abs(z).min() > 0 or not bias.any()
            values.append(np.maximum(z, 0) if activation == RELU else np.tanh(z) if activation == TANH else z)
        return values

    def compare(self, found: Any, expected: Any) -> None:
        scale = np.abs(expected).max(initial=1e-3)
        tolerance = 2e-5 if self.dtype is np.float32 else 1e-11
        worst = np.abs(found - expected).max(initial=0.0)
        assert worst <= tolerance * scale, (worst, scale, self.dtype, [m.shape for m in self.masks])


def masks(shapes: Sequence[tuple[int, int]], density: float, seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    made = [random.random(shape) < density for shape in shapes]
    for mask in made:
        if mask.shape[0] > 2:
            mask[[0, -1]] = False  # empty first and last row
        mask[mask.shape[0] // 2, mask.shape[1] // 2] = True
    return made


CASES: list[tuple[list[Any], list[int]]] = [
    ([np.ones((1, 1), bool)], [IDENTITY]),
    (masks([(3, 5)], 0.5, 1), [RELU]),
    (masks([(3, 5)], 0.5, 2), [TANH]),
    (masks([(17, 33)], 0.3, 3), [IDENTITY]),
    ([np.ones((17, 33), bool)], [TANH]),
    ([np.eye(16, dtype=bool)], [IDENTITY]),
    ([np.zeros((3, 5), bool)], [RELU]),
    ([np.ones((1, 33), bool)], [IDENTITY]),
    ([np.ones((33, 1), bool)], [RELU]),
    (masks([(17, 33), (5, 17), (1, 5)], 0.6, 4), [RELU, TANH, IDENTITY]),
    ([np.eye(16, dtype=bool), np.eye(16, dtype=bool)], [IDENTITY, TANH]),
    (masks([(1040, 1030), (6, 1040)], 0.04, 5), [TANH, IDENTITY]),
]


def every_isa(library: ctypes.CDLL) -> Iterator[str]:
    """Each instruction set of this machine, in force until the next."""
    library.sa_isa.restype = ctypes.c_char_p
    for name in (b"avx512", b"avx2", b"baseline"):
        if library.sa_isa_supported(name):
            assert library.sa_isa_select(name) == 0
            yield library.sa_isa().decode()


def main(path: str) -> None:
    library = ctypes.CDLL(path)
    library.sa_workspace_bytes.restype = ctypes.c_int64
    ran = []
    for name in every_isa(library):
        ran.append(name)
        for seed, ((layers, activations), dtype) in enumerate(itertools.product(CASES, (np.float32, np.float64))):
            network = Network(library, layers, activations, dtype, seed)
            large = layers[0].size > 100_000
            for batch in (7,) if large else (1, 7, 65):
                for wanted in [(True, True, True), (True, False, False), (False, False, True)]:
                    biased = RELU in activations or wanted[1]
                    network.run(batch, 1, biased, wanted, keep=False)
                    network.run(batch, 2, biased, wanted, keep=True)
            library.sa_network_destroy(network.handle)
    refused(library)
    print(*ran)


def refused(library: ctypes.CDLL) -> None:
    """The check reads nothing outside arrays whose contents are damaged."""
    mask = masks([(6, 9)], 0.5, 6)[0]
    for position, value in itertools.product(range(5), (-1, 2**31 - 1, -(2**31), 7)):
        arrays = Network.index_arrays(mask)
        last = -2 if position in (0, 2) else -1  # not the number of connections: it says how long the arrays are
        for index in (0, len(arrays[position].array) // 2, last):
            kept = int(arrays[position].array[index])
            if kept == value:
                continue
            arrays[position].array[index] = value
            layer = Layer(6, 9, 0, *(a.pointer for a in arrays))
            if library.sa_layer_check(ctypes.byref(layer)) == 0:
                raise AssertionError(f"array {position}, index {index}, value {value} passed")
            arrays[position].array[index] = kept


if __name__ == "__main__":
    main(sys.argv[1])
