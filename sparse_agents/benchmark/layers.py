"""Convolutions and LSTMs against torch's own: by which path to compute what is stored sparsely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_agents.benchmark.timing import Call, Record, compare
from sparse_agents.control import sparsify
from sparse_agents.nn import SparseConv2d, SparseLinear, UnrolledLSTM

NATURE = ((4, 32, 8, 4, 84), (32, 64, 4, 2, 20), (64, 64, 3, 1, 9))
"""NatureCNN's convolutions: channels in and out, kernel, stride, and the height of their images."""
SEQUENCES = ((1, 1), (128, 1), (128, 8), (16, 64), (16, 256))
"""Steps, and sequences side by side; the first is acting."""


def convolutions(batch: int = 32, sparsities: Sequence[float] = (0.9, 0.99)) -> Iterator[Record]:
    """Forward and backward; beside the layer as it is, one that unfolds images for the sparse product."""
    for index, (channels, filters, kernel, stride, height) in enumerate(NATURE):
        x = torch.randn(batch, channels, height, height, requires_grad=index > 0)  # nobody asks for the image's
        dense = nn.Conv2d(channels, filters, kernel, stride)
        for sparsity in sparsities:
            layer = SparseLinear(channels * kernel**2, filters, sparsity=sparsity)
            calls = {
                "nn.Conv2d": _training(dense, x),
                "SparseConv2d": _training(SparseConv2d.from_dense(dense, layer.topology), x),
                "images unfolded": _training(_unfolding(layer, kernel, stride), x),
            }
            case = f"convolution {channels} to {filters}, {kernel}x{kernel}"
            yield from compare(case, sparsity, batch, torch.get_num_threads(), calls, "nn.Conv2d")


def lstms(
    widths: Sequence[int] = (256, 1024), inputs: int = 64, sparsities: Sequence[float] = (0.8, 0.9, 0.95)
) -> Iterator[Record]:
    """Forward and backward of sequences; of a single step the forward alone, which is what acting needs."""
    for width in widths:
        for steps, batch in SEQUENCES:
            x = torch.randn(steps, batch, inputs)
            dense = nn.LSTM(inputs, width)
            call = _training if steps > 1 else _acting
            for sparsity in sparsities:
                calls = {"nn.LSTM": call(dense, x)}
                for backend, name in (("csr", "by connections"), ("masked", "matrices filled in")):
                    calls[name] = call(_sparse_lstm(inputs, width, sparsity, backend), x)
                case = f"LSTM {inputs}-{width}, {steps} steps"
                yield from compare(case, sparsity, batch, torch.get_num_threads(), calls, "nn.LSTM")


def _sparse_lstm(inputs: int, width: int, sparsity: float, backend: str) -> UnrolledLSTM:
    network = nn.Sequential(nn.LSTM(inputs, width))
    sparsify(network, sparsity=sparsity, topology="static", distribution="uniform", backend=backend, seed=0)
    (lstm,) = network
    assert isinstance(lstm, UnrolledLSTM)
    return lstm


def _unfolding(layer: SparseLinear, kernel: int, stride: int) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        patches = F.unfold(x, kernel, stride=stride).transpose(1, 2)
        result: Tensor = layer(patches)
        return result.transpose(1, 2).contiguous()

    return forward


def _training(module: Callable[[Tensor], Tensor | tuple[Tensor, object]], x: Tensor) -> Call:
    def call() -> None:
        y = module(x)
        (y if isinstance(y, Tensor) else y[0]).sum().backward()

    return call


def _acting(module: Callable[[Tensor], Tensor | tuple[Tensor, object]], x: Tensor) -> Call:
    def call() -> None:
        with torch.no_grad():
            module(x)

    return call
