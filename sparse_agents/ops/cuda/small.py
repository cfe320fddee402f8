"""A small network on a CUDA device, all of it in one launch."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_agents.ops.cuda.geometry import MOST_LAYERS, chain_geometry
from sparse_agents.ops.cuda.kernel import Kernel
from sparse_agents.ops.cuda.network import CudaNetwork, Tiles, pointer
from sparse_agents.ops.cuda.rows import Rows

SUMMING = 256
FORWARD, BACKWARD, SUM = (Kernel("chain.cu", name) for name in ("chain_forward", "chain_backward", "chain_sum"))
_P, _I = ctypes.c_void_p, ctypes.c_int32


class _Direction(ctypes.Structure):
    _fields_ = [("lanes", _I), ("row_ptr", _P), ("feature", _P), ("slot", _P)]

    @classmethod
    def of(cls, rows: Rows, lanes: int) -> _Direction:
        return cls(lanes, rows.row_ptr.data_ptr(), rows.feature.data_ptr(), rows.slot.data_ptr())


class _Layer(ctypes.Structure):
    _fields_ = [
        ("rows", _I), ("cols", _I), ("connections", _I), ("activation", _I), ("by_output", _Direction),
        ("by_input", _Direction), ("weight", _P), ("bias", _P), ("grad_weight", _P), ("grad_bias", _P),
        ("weight_offset", _I), ("bias_offset", _I),
    ]  # fmt: skip


class _Chain(ctypes.Structure):
    """``Chain`` of kernels/include/sparse_agents/cuda/chain.h."""

    _fields_ = [("layers", _I), ("tallest", _I), ("batch", _I), ("parts", _I), ("layer", _Layer * MOST_LAYERS)]


class SmallNetwork(CudaNetwork):
    """One launch forward; one backward, and one for what blocks add up."""

    def forward(
        self, x: Tensor, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Tiles | None, y: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        nothing: list[None] = [None] * len(weights)
        y = self._output(batch, y)
        kept = None if workspace is None else workspace.tensor
        chain = self._chain(batch, weights, biases, nothing, nothing)
        self._launch(FORWARD, batch, chain, pointer(x), pointer(kept), pointer(y))
        return y

    def backward(
        self, batch: int, workspace: Tiles, weights: Sequence[Tensor], grad_output: Tensor, grad_input: Tensor | None,
        grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Tiles | None = None,
    ) -> None:  # fmt: skip
        chain = self._chain(batch, weights, [None] * len(weights), grad_weights, grad_biases)
        blocks = chain_geometry(self.heights, batch, self.launcher.processor).blocks
        parts = torch.empty(blocks * chain.parts, dtype=torch.float32, device=self.device)
        gradients = None if grad_workspace is None else grad_workspace.tensor
        tensors = map(pointer, (workspace.tensor, grad_output, grad_input, parts, gradients))
        self._launch(BACKWARD, batch, chain, *tensors)
        if chain.parts:
            grid = (-(-chain.parts // SUMMING), 1, 1)
            self.launcher.launch(SUM, grid, (SUMMING, 1, 1), 0, (chain, ctypes.c_int(blocks), pointer(parts)))

    def _launch(self, kernel: Kernel, batch: int, *arguments: ctypes.Structure | ctypes.c_void_p) -> None:
        g = chain_geometry(self.heights, batch, self.launcher.processor)
        self.launcher.launch(kernel, (g.blocks, 1, 1), (g.threads, 1, 1), g.shared_bytes, arguments)

    def _chain(
        self, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
    ) -> _Chain:  # fmt: skip
        """``parts`` counts what is wanted."""
        geometry = chain_geometry(self.heights, batch, self.launcher.processor)
        chain = _Chain(len(self.edges), max(self.heights), batch, 0)
        for i, edges in enumerate(self.edges):
            layer = chain.layer[i]
            (layer.rows, layer.cols), layer.connections = edges.shape, edges.nnz
            layer.activation = self.activations[i]
            layer.by_output = _Direction.of(self.by_output[i], geometry.lanes_up[i])
            layer.by_input = _Direction.of(self.by_input[i], geometry.lanes_down[i])
            layer.weight, layer.bias = pointer(weights[i]), pointer(biases[i])
            layer.grad_weight, layer.grad_bias = pointer(grad_weights[i]), pointer(grad_biases[i])
            layer.weight_offset = chain.parts
            chain.parts += 0 if grad_weights[i] is None else edges.nnz
            layer.bias_offset = chain.parts
            chain.parts += 0 if grad_biases[i] is None else edges.shape[0]
        return chain
