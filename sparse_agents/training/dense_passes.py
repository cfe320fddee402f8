"""Passes with dense matrices, for networks with so many connections that these are faster: torch's products."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparse_agents.ops import ACTIVATIONS, NORMALISED
from sparse_agents.ops.activation import EPSILON
from sparse_agents.training.networks import Layer, Network, Pass, Room

Call = Callable[[], None]


class DenseNetwork(Network):
    """Matrices, filled in anew at each forward where a layer has not every connection."""

    def __init__(self, layers: Sequence[Layer], gradients: bool = False) -> None:
        super().__init__(layers, gradients)
        self._filled = [_full(layer) is None for layer in self.layers]
        made = [_full(layer) for layer in self.layers]
        self.matrices = [
            torch.zeros(layer.edges.shape, dtype=self.dtype) if matrix is None else matrix
            for layer, matrix in zip(self.layers, made, strict=True)
        ]

    def fill(self) -> None:
        """Put the weights as they are now into the matrices."""
        for layer, matrix, filled in zip(self.layers, self.matrices, self._filled, strict=True):
            if filled:
                matrix.view(-1).index_copy_(0, layer.edges.ids, layer.weight.detach())

    def workspace_size(self, batch: int) -> int:
        return batch * sum(layer.edges.shape[0] for layer in self.layers[:-1])

    def new_pass(self, batch: int, room: Room | None = None) -> Pass:
        hidden = torch.empty(self.workspace_size(batch), dtype=self.dtype) if room is None else room.of(self, batch)
        return DensePass(self, batch, hidden)


class DensePass(Pass):
    """Torch's products on preallocated memory, without autograd."""

    def __init__(self, network: DenseNetwork, batch: int, hidden: Tensor) -> None:
        self._network = network
        sizes = [layer.edges.shape[0] for layer in network.layers]
        parts = hidden.split([batch * size for size in sizes[:-1]]) if len(sizes) > 1 else ()
        self.output = torch.empty(batch, sizes[-1], dtype=network.dtype)
        self._values = [*(part.view(batch, -1) for part in parts), self.output]
        self._slopes = [torch.empty_like(value) for value in self._values]
        self._norms = [_Norm() if ACTIVATIONS[layer.activation].norm else None for layer in network.layers]
        self._input = hidden.new_empty(0)

    def forward(self, x: Tensor) -> Call:
        network, values, norms = self._network, self._values, self._norms
        self._input = x

        def run() -> None:
            network.fill()
            before = x
            for layer, matrix, value, norm in zip(network.layers, network.matrices, values, norms, strict=True):
                if layer.bias is None:
                    torch.mm(before, matrix.t(), out=value)
                else:
                    torch.addmm(layer.bias.detach(), before, matrix.t(), out=value)
                if norm is not None:
                    norm.forward(value)
                _ACTIVATE[layer.activation](value)
                before = value

        return run

    def backward(self, grad: Tensor, grad_x: Tensor | None = None, parameters: bool = True) -> Call:
        network, inputs = self._network, [self._input, *self._values[:-1]]
        take = [self._taker(layer) for layer in network.layers] if parameters else []
        towards = [grad_x, *self._slopes[:-1]]
        above = [*self._slopes[:-1], grad]

        def run() -> None:
            for i in reversed(range(len(network.layers))):
                slope = self._slopes[i]
                _BY_SUM[network.layers[i].activation](above[i], self._values[i], slope)
                norm = self._norms[i]
                if norm is not None:
                    norm.backward(slope)
                if parameters:
                    take[i](slope, inputs[i])
                to = towards[i]
                if to is not None:
                    torch.mm(slope, network.matrices[i], out=to)

        return run

    def _taker(self, layer: Layer) -> Callable[[Tensor, Tensor], None]:
        """What makes a layer's gradients of the gradient of its sums and its inputs."""
        by_weight = self._network.gradients[layer.weight]
        by_bias = None if layer.bias is None else self._network.gradients[layer.bias]
        full = _full(layer) is not None
        matrix = by_weight.view(layer.edges.shape) if full else by_weight.new_empty(layer.edges.shape)

        def take(slope: Tensor, x: Tensor) -> None:
            torch.mm(slope.t(), x, out=matrix)
            if not full:
                torch.index_select(matrix.view(-1), 0, layer.edges.ids, out=by_weight)
            if by_bias is not None:
                torch.sum(slope, 0, out=by_bias)

        return take


def _full(layer: Layer) -> Tensor | None:
    """The matrix of a layer that has every connection."""
    return layer.weight.detach().view(layer.edges.shape) if layer.edges.nnz == layer.edges.size else None


class _Norm:
    """LayerNorm of a layer's sums, ``[batch, features]``, in place; and from the gradient of the result to theirs."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, ...] = ()

    def forward(self, sums: Tensor) -> None:
        before = sums.clone()
        normalised, mean, scale = torch.native_layer_norm(before, sums.shape[1:], None, None, EPSILON)
        self._kept = before, mean, scale
        sums.copy_(normalised)

    def backward(self, grad: Tensor) -> None:
        before, mean, scale = self._kept
        by_sums, _, _ = torch.ops.aten.native_layer_norm_backward(
            grad, before, grad.shape[1:], mean, scale, None, None, [True, False, False]
        )
        grad.copy_(by_sums)


def _copy(grad: Tensor, value: Tensor, out: Tensor) -> None:
    if grad is not out:
        out.copy_(grad)


def _relu(grad: Tensor, value: Tensor, out: Tensor) -> None:
    torch.ops.aten.threshold_backward.grad_input(grad, value, 0, grad_input=out)


def _tanh(grad: Tensor, value: Tensor, out: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(grad, value, grad_input=out)


_FUNCTIONS: dict[str, tuple[Callable[[Tensor], object], Callable[[Tensor, Tensor, Tensor], None]]] = {
    "identity": (lambda x: x, _copy),
    "relu": (torch.relu_, _relu),
    "tanh": (torch.tanh_, _tanh),
}
"""In place, and from the gradient by a value to that by what the function was applied to."""
_BY_NAME = {**_FUNCTIONS, **{NORMALISED[name]: functions for name, functions in _FUNCTIONS.items()}}
_ACTIVATE = {name: function for name, (function, _) in _BY_NAME.items()}
_BY_SUM = {name: derivative for name, (_, derivative) in _BY_NAME.items()}
