"""A chain of layers on a CUDA device."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops.activation import ACTIVATIONS
from sparse_agents.ops.cuda.balance import balance
from sparse_agents.ops.cuda.geometry import COLUMNS, RowGeometry, row_geometry, tiles_of
from sparse_agents.ops.cuda.kernel import Kernel, Launcher
from sparse_agents.topology import Edges

SIDE = 32
"""``kSide`` of kernels/cuda/boundary.cu."""
SQUARE = (SIDE, 8, 1)
SQUARE_BYTES = SIDE * (SIDE + 1) * 4
SUMMING = 256
INTO_TILES, FROM_TILES, THROUGH_ACTIVATION, ADD_PARTS = (
    Kernel("boundary.cu", name) for name in ("into_tiles", "from_tiles", "through_activation", "add_parts")
)


@dataclass(frozen=True)
class Rows:
    """One direction of a layer, its connections in the order of :func:`balance`.

    Attributes:
        count: of rows.
        features: that connections can lead to.
        longest: connections of the row that has most.
        row_ptr: ``[count + 1]`` int32.
        feature: ``[connections]`` int32.
        slot: ``[connections]`` int32, where the weight of each lies.
    """

    count: int
    features: int
    longest: int
    row_ptr: Tensor
    feature: Tensor
    slot: Tensor

    @classmethod
    def of(cls, edges: Edges) -> tuple[Rows, Rows]:
        """Those of outputs, for the forward, and those of inputs, for the backward; made once for the same edges."""
        if "_device_rows" not in edges.__dict__:
            outputs, inputs = edges.shape
            slots = torch.arange(edges.nnz, dtype=torch.int32, device=edges.col.device)
            edges.__dict__["_device_rows"] = (
                cls._balanced(outputs, inputs, edges.row_ptr, edges.col, slots),
                cls._balanced(inputs, outputs, *edges.transpose),
            )
        rows: tuple[Rows, Rows] = edges.__dict__["_device_rows"]
        return rows

    @classmethod
    def _balanced(cls, count: int, features: int, row_ptr: Tensor, feature: Tensor, slot: Tensor) -> Rows:
        order = balance(row_ptr, feature)
        return cls(count, features, int(row_ptr.diff().max()), row_ptr.contiguous(), feature[order], slot[order])


class Tiles:
    """Activations of all layers, or their gradients: ``[tiles][features][8]`` at each boundary between layers."""

    def __init__(self, heights: Sequence[int], batch: int, device: torch.device) -> None:
        tiles = tiles_of(batch)
        sizes = [tiles * height * COLUMNS for height in heights]
        self.tensor = torch.empty(sum(sizes), dtype=torch.float32, device=device)
        self.boundaries = self.tensor.split(sizes)


class CudaNetwork:
    """What :class:`sparse_agents.ops.NativeNetwork` is on the processor, in float32.

    Args:
        edges: of the layers, on the device.
        activations: behind them.
        launcher: for kernels on that device.
    """

    def __init__(self, edges: Sequence[Edges], activations: Sequence[str], launcher: Launcher) -> None:
        self.edges, self.launcher = tuple(edges), launcher
        self.device = edges[0].col.device
        self.heights = [edges[0].shape[1], *(e.shape[0] for e in edges)]
        self._activations = [ACTIVATIONS[name].code for name in activations]
        self._forward, self._backward = zip(*map(Rows.of, edges), strict=True)

    def workspace(self, batch: int) -> Tiles:
        """Memory for the activations, or the gradients, of a batch."""
        return Tiles(self.heights, batch, self.device)

    def forward(
        self, x: Tensor, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Tiles | None,
    ) -> Tensor:  # fmt: skip
        """``x``: [batch, in_features] -> [batch, out_features]."""
        values = (workspace or self.workspace(batch)).boundaries
        self._boundary(INTO_TILES, batch, self.heights[0], x, values[0])
        for i, rows in enumerate(self._forward):
            geometry = self._geometry(rows, batch)
            self._rows(
                "sparse_forward", rows, geometry, batch, weights[i],
                _pointer(biases[i]), ctypes.c_int(self._activations[i]), _pointer(values[i]), _pointer(values[i + 1]),
            )  # fmt: skip
        y = torch.empty(batch, self.heights[-1], dtype=torch.float32, device=self.device)
        self._boundary(FROM_TILES, batch, self.heights[-1], values[-1], y)
        return y

    def backward(
        self, batch: int, workspace: Tiles, weights: Sequence[Tensor], grad_output: Tensor, grad_input: Tensor | None,
        grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Tiles | None = None,
    ) -> None:  # fmt: skip
        """Fill the gradients given; None where not wanted."""
        values, gradients = workspace.boundaries, (grad_workspace or self.workspace(batch)).boundaries
        self._boundary(INTO_TILES, batch, self.heights[-1], grad_output, gradients[-1])
        for i in reversed(range(len(self.edges))):
            self._through_activation(i, batch, values[i + 1], gradients[i + 1], grad_biases[i])
            wanted = i > 0 or grad_input is not None
            self._layer_backward(
                i, batch, weights[i], values[i], gradients[i + 1], gradients[i] if wanted else None, grad_weights[i]
            )
        if grad_input is not None:
            self._boundary(FROM_TILES, batch, self.heights[0], gradients[0], grad_input)

    def features(self, workspace: Tiles, batch: int, boundary: int) -> Tensor:
        """What a workspace holds at a layer boundary (0: the input, l: layer l's output), [features, batch]."""
        tiles = workspace.boundaries[boundary].view(-1, self.heights[boundary], COLUMNS)
        by_feature: Tensor = tiles.transpose(0, 1).reshape(self.heights[boundary], -1)
        return by_feature[:, :batch]

    def _layer_backward(
        self, i: int, batch: int, weight: Tensor, x: Tensor, grad: Tensor, grad_x: Tensor | None,
        grad_weight: Tensor | None,
    ) -> None:  # fmt: skip
        rows = self._backward[i]
        geometry = self._geometry(rows, batch)
        if grad_weight is None:  # a product with the transpose
            if grad_x is not None:
                identity = ctypes.c_int(ACTIVATIONS["identity"].code)
                self._rows(
                    "sparse_forward", rows, geometry, batch, weight,
                    _pointer(None), identity, _pointer(grad), _pointer(grad_x),
                )  # fmt: skip
            return
        connections, parts = self.edges[i].nnz, grad_weight
        if geometry.splits > 1:
            parts = torch.empty(geometry.splits * connections, dtype=torch.float32, device=self.device)
        self._rows(
            "sparse_backward", rows, geometry, batch, weight,
            ctypes.c_int(connections), _pointer(x), _pointer(grad), _pointer(grad_x), _pointer(parts),
        )  # fmt: skip
        if geometry.splits > 1:
            blocks = (-(-connections // SUMMING), 1, 1)
            sizes = ctypes.c_int(connections), ctypes.c_int(geometry.splits)
            arguments = (*sizes, _pointer(parts), _pointer(grad_weight))
            self.launcher.launch(ADD_PARTS, blocks, (SUMMING, 1, 1), 0, arguments)

    def _geometry(self, rows: Rows, batch: int) -> RowGeometry:
        return row_geometry(rows.count, rows.longest, rows.features, batch, self.launcher.processor)

    def _rows(
        self, name: str, rows: Rows, geometry: RowGeometry, batch: int, weight: Tensor, *more: Any
    ) -> None:  # fmt: skip
        """One of the kernels of layer.cu."""
        sizes = (rows.count, rows.features, tiles_of(batch), geometry.tiles_each, geometry.passes)
        arguments = (*map(ctypes.c_int, sizes), *map(_pointer, (rows.row_ptr, rows.feature, rows.slot, weight)), *more)
        kernel = Kernel("layer.cu", name, geometry.defines)
        grid = (geometry.blocks, geometry.splits, 1)
        self.launcher.launch(kernel, grid, (geometry.threads, 1, 1), geometry.shared_bytes, arguments)

    def _through_activation(self, i: int, batch: int, y: Tensor, grad: Tensor, grad_bias: Tensor | None) -> None:
        features, tiles = self.heights[i + 1], tiles_of(batch)
        threads = max(32, min(SUMMING, 1 << (tiles * COLUMNS - 1).bit_length()))
        sizes = map(ctypes.c_int, (features, tiles, self._activations[i]))
        arguments = (*sizes, _pointer(y), _pointer(grad), _pointer(grad_bias))
        self.launcher.launch(THROUGH_ACTIVATION, (features, 1, 1), (threads, 1, 1), threads * 4, arguments)

    def _boundary(self, kernel: Kernel, batch: int, features: int, source: Tensor, target: Tensor) -> None:
        grid = (-(-features // SIDE), -(-batch // SIDE), 1)
        arguments = (ctypes.c_int(batch), ctypes.c_int(features), _pointer(source), _pointer(target))
        self.launcher.launch(kernel, grid, SQUARE, SQUARE_BYTES, arguments)


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
