"""A chain of layers on a CUDA device."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from sparse_agents.ops.activation import ACTIVATIONS
from sparse_agents.ops.cuda.geometry import COLUMNS, tiles_of
from sparse_agents.ops.cuda.kernel import Launcher
from sparse_agents.ops.cuda.rows import FindRows, Rows
from sparse_agents.topology import Edges


class Tiles:
    """Activations of all layers, or their gradients: ``[tiles][features][8]`` at each boundary between layers; behind
    them, in the same way, what normalised layers keep.

    Args:
        heights: features at each boundary.
        norms: features that each layer keeps; 0: it is not normalised.
        batch: samples.
        memory: for all of them.
    """

    def __init__(self, heights: Sequence[int], norms: Sequence[int], batch: int, memory: Tensor) -> None:
        self.tensor = memory
        parts = memory.split([tiles_of(batch) * features * COLUMNS for features in (*heights, *norms)])
        self.boundaries, self.norms = parts[: len(heights)], parts[len(heights) :]


class CudaNetwork(ABC):
    """What :class:`sparse_agents.ops.NativeNetwork` is on the processor, in float32.

    Args:
        edges: of the layers, on the device.
        activations: behind them.
        launcher: for kernels on that device.
        rows: where rows are to be had.
    """

    blocks: ClassVar[bool]
    """Whether rows that lead to the same features go together."""

    def __init__(
        self, edges: Sequence[Edges], activations: Sequence[str], launcher: Launcher, rows: FindRows = Rows.of
    ) -> None:
        self.edges, self.launcher = tuple(edges), launcher
        self.device = edges[0].col.device
        self.heights = [edges[0].shape[1], *(e.shape[0] for e in edges)]
        self.activations = [ACTIVATIONS[name] for name in activations]
        self.norms = [e.shape[0] + 1 if one.norm else 0 for e, one in zip(edges, self.activations, strict=True)]
        self.kept = sum(self.heights) + sum(self.norms)
        self.by_output, self.by_input = zip(*(rows(e, self.blocks) for e in edges), strict=True)

    def connect(self, edges: Sequence[Edges]) -> bool:
        """Put other connections of the same layers where those are that kernels find now, in captured graphs, too.

        Rows have to be its own: others would not know.

        Returns:
            Whether they fit there. Where they do not, kernels find nothing of use any more.
        """
        for found, new in zip(zip(self.by_output, self.by_input, strict=True), edges, strict=True):
            if not all(mine.take(others) for mine, others in zip(found, Rows.of(new, self.blocks), strict=True)):
                return False
        self.edges = tuple(edges)
        return True

    def workspace_size(self, batch: int) -> int:
        """Numbers that the activations, or the gradients, of a batch take."""
        return tiles_of(batch) * self.kept * COLUMNS

    def workspace(self, batch: int, memory: Tensor | None = None) -> Tiles:
        """Memory for them: some that is given, or new."""
        if memory is None:
            memory = torch.empty(self.workspace_size(batch), dtype=torch.float32, device=self.device)
        return Tiles(self.heights, self.norms, batch, memory)

    @abstractmethod
    def forward(
        self, x: Tensor, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Tiles | None, y: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """``x``: [batch, in_features] -> [batch, out_features], in ``y`` where that is given."""

    @abstractmethod
    def backward(
        self, batch: int, workspace: Tiles, weights: Sequence[Tensor], grad_output: Tensor, grad_input: Tensor | None,
        grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Tiles | None = None,
    ) -> None:  # fmt: skip
        """Fill the gradients given; None where not wanted."""

    def features(self, workspace: Tiles, batch: int, boundary: int) -> Tensor:
        """What a workspace holds at a layer boundary (0: the input, l: layer l's output), [features, batch]."""
        tiles = workspace.boundaries[boundary].view(-1, self.heights[boundary], COLUMNS)
        by_feature: Tensor = tiles.transpose(0, 1).reshape(self.heights[boundary], -1)
        return by_feature[:, :batch]

    def _output(self, batch: int, y: Tensor | None) -> Tensor:
        return torch.empty(batch, self.heights[-1], dtype=torch.float32, device=self.device) if y is None else y


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """As kernels take it."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
