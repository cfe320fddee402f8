"""A convolution that stores only its connections."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_agents.errors import ConfigurationError
from sparse_agents.nn.layer import SparseLayer, check_shape
from sparse_agents.topology import Topology


class SparseConv2d(SparseLayer):
    """A 2-D convolution whose kernels are given by their connections: a matrix ``[out_channels, in · height · width]``.

    Weights, gradients, moments and checkpoints are O(nnz). The computation is torch's dense one, on kernels that are
    filled in at each forward: kernels are small beside images, and unfolding images into a matrix for the sparse
    product takes two to four times as long, at 99% sparsity as at 90% (``docs/algorithms.md``).

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias: as of ``nn.Conv2d``.
        topology: the graph, possibly shared with another layer (a target network's).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        stride: tuple[int, ...] = (1, 1),
        padding: tuple[int, ...] | str = (0, 0),
        dilation: tuple[int, ...] = (1, 1),
        bias: bool = True,
        *,
        topology: Topology,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = (out_channels, in_channels * kernel_size[0] * kernel_size[1])
        super().__init__(check_shape(topology, shape), bias, dtype)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.stride, self.padding, self.dilation = stride, padding, dilation

    @classmethod
    def from_dense(cls, conv: nn.Conv2d, topology: Topology, scale: float = 1.0) -> SparseConv2d:
        """The given connections of a dense layer, their weights multiplied by ``scale``."""
        if not convertible(conv):
            raise ConfigurationError(f"{conv} is grouped or padded with other than zeros, and stays dense.")
        height, width = conv.kernel_size
        with torch.random.fork_rng(devices=[]):  # its own initial values are overwritten
            layer = cls(
                conv.in_channels,
                conv.out_channels,
                (height, width),
                conv.stride,
                conv.padding,
                conv.dilation,
                conv.bias is not None,
                topology=topology,
                dtype=conv.weight.dtype,
            )
        layer.take(conv, scale)
        return layer

    def to_dense(self) -> nn.Conv2d:
        """An ``nn.Conv2d`` that computes the same function, zeros stored."""
        conv: nn.Conv2d = nn.utils.skip_init(
            nn.Conv2d,
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            bias=self.bias is not None,
            device=self.weight.device,
            dtype=self.weight.dtype,
        )
        self.give(conv)
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, in_channels, height, width]`` -> ``[batch, out_channels, height, width]``."""
        kernels = self.watched_matrix().view(self.out_channels, self.in_channels, *self.kernel_size)
        return F.conv2d(x, kernels, self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"


def convertible(conv: nn.Conv2d) -> bool:
    """Grouped kernels are no bipartite graph, and other padding is not ours."""
    return conv.groups == 1 and conv.padding_mode == "zeros"
