"""A chain of layers of any size on a CUDA device, one after the other."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops.activation import ACTIVATIONS, Activation
from sparse_agents.ops.cuda.geometry import COLUMNS, RowGeometry, row_geometry, tiles_of
from sparse_agents.ops.cuda.kernel import Kernel
from sparse_agents.ops.cuda.network import CudaNetwork, Tiles, pointer
from sparse_agents.ops.cuda.rows import Rows

SIDE = 32
"""``kSide`` of kernels/cuda/boundary.cu."""
SQUARE = (SIDE, 8, 1)
SQUARE_BYTES = SIDE * (SIDE + 1) * 4
SUMMING = 256
INTO_TILES, FROM_TILES, NORMALISE, THROUGH_NORM, THROUGH_ACTIVATION, ADD_PARTS = (
    Kernel("boundary.cu", name)
    for name in ("into_tiles", "from_tiles", "normalise_tiles", "through_norm", "through_activation", "add_parts")
)
IDENTITY = ACTIVATIONS["identity"]


class LayeredNetwork(CudaNetwork):
    """A few launches for each layer."""

    blocks = True

    def forward(
        self, x: Tensor, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Tiles | None, y: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        workspace = workspace or self.workspace(batch)
        values = workspace.boundaries
        self._boundary(INTO_TILES, batch, self.heights[0], x, values[0])
        for i, rows in enumerate(self.by_output):
            activation = self.activations[i]
            code = ctypes.c_int((IDENTITY if activation.norm else activation).code)
            self._rows(
                "sparse_forward", rows, self._geometry(rows, batch), batch, weights[i],
                pointer(biases[i]), code, pointer(values[i]), pointer(values[i + 1]),
            )  # fmt: skip
            if activation.norm:
                self._tiles(NORMALISE, i, batch, values[i + 1], workspace.norms[i])
        y = self._output(batch, y)
        self._boundary(FROM_TILES, batch, self.heights[-1], values[-1], y)
        return y

    def backward(
        self, batch: int, workspace: Tiles, weights: Sequence[Tensor], grad_output: Tensor, grad_input: Tensor | None,
        grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Tiles | None = None,
    ) -> None:  # fmt: skip
        values, gradients = workspace.boundaries, (grad_workspace or self.workspace(batch)).boundaries
        self._boundary(INTO_TILES, batch, self.heights[-1], grad_output, gradients[-1])
        for i in reversed(range(len(self.edges))):
            activation = self.activations[i]
            if activation.norm:
                self._tiles(THROUGH_NORM, i, batch, values[i + 1], workspace.norms[i], gradients[i + 1])
                activation = IDENTITY
            self._through_activation(i, batch, activation, values[i + 1], gradients[i + 1], grad_biases[i])
            wanted = i > 0 or grad_input is not None
            self._layer_backward(
                i, batch, weights[i], values[i], gradients[i + 1], gradients[i] if wanted else None, grad_weights[i]
            )
        if grad_input is not None:
            self._boundary(FROM_TILES, batch, self.heights[0], gradients[0], grad_input)

    def _layer_backward(
        self, i: int, batch: int, weight: Tensor, x: Tensor, grad: Tensor, grad_x: Tensor | None,
        grad_weight: Tensor | None,
    ) -> None:  # fmt: skip
        rows = self.by_input[i]
        geometry = self._geometry(rows, batch)
        if grad_weight is None:  # a product with the transpose
            if grad_x is not None:
                self._rows(
                    "sparse_forward", rows, geometry, batch, weight,
                    pointer(None), ctypes.c_int(IDENTITY.code), pointer(grad), pointer(grad_x),
                )  # fmt: skip
            return
        connections, parts = self.edges[i].nnz, grad_weight
        if geometry.splits > 1:
            parts = torch.empty(geometry.splits * connections, dtype=torch.float32, device=self.device)
        self._rows(
            "sparse_backward", rows, geometry, batch, weight,
            ctypes.c_int(connections), pointer(x), pointer(grad), pointer(grad_x), pointer(parts),
        )  # fmt: skip
        if geometry.splits > 1:
            blocks = (-(-connections // SUMMING), 1, 1)
            sizes = ctypes.c_int(connections), ctypes.c_int(geometry.splits)
            arguments = (*sizes, pointer(parts), pointer(grad_weight))
            self.launcher.launch(ADD_PARTS, blocks, (SUMMING, 1, 1), 0, arguments)

    def _geometry(self, rows: Rows, batch: int) -> RowGeometry:
        return row_geometry(rows.count, rows.held, rows.features, batch, self.launcher.processor, rows.block)

    def _rows(
        self, name: str, rows: Rows, geometry: RowGeometry, batch: int, weight: Tensor, *more: Any
    ) -> None:  # fmt: skip
        """One of the kernels of layer.cu."""
        sizes = (rows.count, rows.features, tiles_of(batch), geometry.tiles_each)
        tensors = (rows.order, rows.row_ptr, rows.feature, rows.slot, weight)
        arguments = (*map(ctypes.c_int, sizes), *map(pointer, tensors), *more)
        kernel = Kernel("layer.cu", name, geometry.defines)
        grid = (geometry.blocks, geometry.splits, 1)
        self.launcher.launch(kernel, grid, (geometry.threads, 1, 1), geometry.shared_bytes, arguments)

    def _tiles(self, kernel: Kernel, i: int, batch: int, *tensors: Tensor) -> None:
        """Of a normalised layer, a block for each tile."""
        arguments = (
            ctypes.c_int(self.heights[i + 1]),
            ctypes.c_int(self.activations[i].code),
            *map(pointer, tensors),
        )
        self.launcher.launch(kernel, (tiles_of(batch), 1, 1), (SUMMING, 1, 1), 2 * SUMMING * 4, arguments)

    def _through_activation(
        self, i: int, batch: int, activation: Activation, y: Tensor, grad: Tensor, grad_bias: Tensor | None
    ) -> None:
        features, tiles = self.heights[i + 1], tiles_of(batch)
        threads = max(32, min(SUMMING, 1 << (tiles * COLUMNS - 1).bit_length()))
        sizes = map(ctypes.c_int, (features, tiles, activation.code))
        arguments = (*sizes, pointer(y), pointer(grad), pointer(grad_bias))
        self.launcher.launch(THROUGH_ACTIVATION, (features, 1, 1), (threads, 1, 1), threads * 4, arguments)

    def _boundary(self, kernel: Kernel, batch: int, features: int, source: Tensor, target: Tensor) -> None:
        grid = (-(-features // SIDE), -(-batch // SIDE), 1)
        arguments = (ctypes.c_int(batch), ctypes.c_int(features), pointer(source), pointer(target))
        self.launcher.launch(kernel, grid, SQUARE, SQUARE_BYTES, arguments)
