"""A chain of layers as one handle of the compiled kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops import library
from sparse_agents.ops.activation import ACTIVATIONS
from sparse_agents.topology import Edges

DTYPES = {torch.float32: 0, torch.float64: 1}
MAX_LAYERS = 64


def _check_edges(edges: Edges, layer: library.LayerStruct) -> None:
    """Bounds, order and transpose, once for each Edges object."""
    if not edges.__dict__.get("_checked"):
        library.check(library.library().sa_layer_check(ctypes.byref(layer)), repr(edges))  # type: ignore[union-attr]
        edges.__dict__["_checked"] = True


class Workspace:
    """Activations of one forward, lent from its network and given back when nobody holds them.

    Fresh memory of this size would be faulted in page by page at every step, which costs as much as
    the kernels themselves.
    """

    KEPT = 4  # idle buffers a network keeps

    def __init__(self, idle: list[Tensor], size: int, dtype: torch.dtype) -> None:
        self._idle = idle
        self.tensor = self._borrow(size, dtype)

    def _borrow(self, size: int, dtype: torch.dtype) -> Tensor:
        """A buffer of that size that nobody else can be handed: one taken off the list, or a new one."""
        for _ in range(len(self._idle)):
            try:
                tensor = self._idle.pop(0)
            except IndexError:  # another thread was faster
                break
            if tensor.numel() == size:
                return tensor
            self._idle.append(tensor)
        return torch.empty(size, dtype=dtype)

    def __del__(self) -> None:
        self._idle.append(self.tensor)
        del self._idle[: -self.KEPT]


@dataclass(frozen=True)
class Memory:
    """Of a workspace that somebody else keeps."""

    tensor: Tensor


VECTOR_BYTES = {"avx512": 64, "avx2": 32, "baseline": 16}
"""By instruction set."""


def workspace_unit(edges: Sequence[Edges], activations: Sequence[str], dtype: torch.dtype) -> tuple[int, int]:
    """Workspaces are for multiples of so many samples, and have so many numbers for that many."""
    kernels = library.library()
    assert kernels is not None
    lanes = VECTOR_BYTES[kernels.sa_isa().decode()] // dtype.itemsize
    features = edges[0].shape[1] + sum(e.shape[0] for e in edges)
    return lanes, lanes * (features + norm_features(edges, activations))


def norm_features(edges: Sequence[Edges], activations: Sequence[str]) -> int:
    """Numbers of a sample that normalised layers keep besides their outputs: normalised sums, and their scale."""
    return sum(e.shape[0] + 1 for e, name in zip(edges, activations, strict=True) if ACTIVATIONS[name].norm)


class NativeNetwork:
    """Keeps the index arrays alive for as long as the handle; weights are passed at each call."""

    def __init__(self, edges: Sequence[Edges], activations: Sequence[str], dtype: torch.dtype) -> None:
        kernels = library.library()
        assert kernels is not None
        self.library = kernels
        self.edges = tuple(edges)
        self.dtype = dtype
        self._heights = [edges[0].shape[1], *(e.shape[0] for e in edges)]
        self._norm_heights = norm_features(edges, activations)
        self._idle: list[Tensor] = []
        self.in_features, self.out_features = edges[0].shape[1], edges[-1].shape[0]
        structs = (library.LayerStruct * len(edges))()
        self._arrays = []
        for struct, e, activation in zip(structs, edges, activations, strict=True):
            arrays = [t.contiguous() for t in (e.row_ptr, e.col, *e.transpose)]
            self._arrays.append(arrays)
            struct.rows, struct.cols = e.shape
            struct.activation = ACTIVATIONS[activation].code
            struct.row_ptr, struct.col, struct.col_ptr, struct.row, struct.slot = (t.data_ptr() for t in arrays)
            _check_edges(e, struct)
        handle = ctypes.c_void_p()
        library.check(
            kernels.sa_network_create(structs, len(edges), DTYPES[dtype], ctypes.byref(handle)), "creating a network"
        )
        self.handle = handle
        self._pointers = ctypes.c_void_p * len(edges)

    def __del__(self) -> None:
        handle = self.__dict__.get("handle")
        if handle:
            self.library.sa_network_destroy(handle)

    def workspace_size(self, batch: int) -> int:
        """Elements that the activations, or the gradients, of a batch take."""
        size: int = self.library.sa_workspace_bytes(self.handle, batch)
        return size // self.dtype.itemsize

    def workspace(self, batch: int, memory: Tensor | None = None) -> Workspace | Memory:
        """Memory for them: some that is given, or some that is lent."""
        return Workspace(self._idle, self.workspace_size(batch), self.dtype) if memory is None else Memory(memory)

    def forward(
        self, x: Tensor | None, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Workspace | Memory | None, output: bool = True,
    ) -> Tensor | None:  # fmt: skip
        """``x``: [batch, in_features] -> [batch, out_features].

        ``x`` None: the workspace holds the input tiles; ``output`` False: leave the result there.
        """
        y = torch.empty(batch, self.out_features, dtype=self.dtype) if output else None
        status = self.library.sa_network_forward(*self.forward_arguments(x, batch, weights, biases, workspace, y))
        if status:
            library.check(status, "sparse forward")
        return y

    def forward_arguments(
        self, x: Tensor | None, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Workspace | Memory | None, y: Tensor | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Of ``sa_network_forward``. Good for as long as the tensors live where they are."""
        return (
            self.handle,
            batch,
            None if x is None else x.data_ptr(),
            self._pointers(*[w.data_ptr() for w in weights]),
            self._pointers(*[None if b is None else b.data_ptr() for b in biases]),
            None if workspace is None else workspace.tensor.data_ptr(),
            None if y is None else y.data_ptr(),
            library.threads(),
        )

    def backward(
        self, batch: int, workspace: Workspace | Memory, weights: Sequence[Tensor], grad_output: Tensor | None,
        grad_input: Tensor | None, grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Workspace | Memory | None = None, input_gradient: bool = False,
    ) -> None:  # fmt: skip
        """Fill the gradients given; None where not wanted. See kernels/include/sparse_agents/network.h."""
        status = self.library.sa_network_backward(
            *self.backward_arguments(batch, workspace, weights, grad_output, grad_input, grad_weights, grad_biases,
                                     grad_workspace, input_gradient)
        )  # fmt: skip
        if status:
            library.check(status, "sparse backward")

    def backward_arguments(
        self, batch: int, workspace: Workspace | Memory, weights: Sequence[Tensor], grad_output: Tensor | None,
        grad_input: Tensor | None, grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Workspace | Memory | None, input_gradient: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Of ``sa_network_backward``. Good for as long as the tensors live where they are."""
        return (
            self.handle,
            batch,
            workspace.tensor.data_ptr(),
            self._pointers(*[w.data_ptr() for w in weights]),
            None if grad_output is None else grad_output.data_ptr(),
            None if grad_input is None else grad_input.data_ptr(),
            int(input_gradient),
            self._pointers(*[None if g is None else g.data_ptr() for g in grad_weights]),
            self._pointers(*[None if g is None else g.data_ptr() for g in grad_biases]),
            None if grad_workspace is None else grad_workspace.tensor.data_ptr(),
            library.threads(),
        )

    def features(self, workspace: Workspace | Memory, batch: int, boundary: int) -> Tensor:
        """What a workspace holds at a layer boundary (0: the input, l: layer l's output), [features, batch]."""
        total, before = sum(self._heights) + self._norm_heights, sum(self._heights[:boundary])
        height = self._heights[boundary]
        full = self.library.sa_tile_width(self.handle, batch)
        lanes = self.workspace_size(1) // total
        tiles = []
        for first in range(0, batch, full):
            samples = min(full, batch - first)
            width = -(-samples // lanes) * lanes
            begin = first * total + before * width
            tiles.append(workspace.tensor[begin : begin + height * width].view(height, width)[:, :samples])
        return torch.cat(tiles, dim=1)
