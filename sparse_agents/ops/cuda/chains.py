"""Small networks on a CUDA device, several of them side by side in one launch: kernels/cuda/chain.cu."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_agents.ops.cuda.geometry import COLUMNS, MOST_LAYERS, SCRATCH, ChainGeometry, chain_geometry, shared_room
from sparse_agents.ops.cuda.kernel import Kernel
from sparse_agents.ops.cuda.network import CudaNetwork, pointer
from sparse_agents.ops.cuda.rows import Rows

SUMMING = 256
MOST_CHAINS = 2
"""``kMostChains`` of kernels/include/sparse_agents/cuda/chain.h."""
FORWARD, BACKWARD, FIT, ASCEND, SUM = (
    Kernel("chain.cu", f"chain_{name}") for name in ("forward", "backward", "fit", "ascend", "sum")
)
_P, _I, _D = ctypes.c_void_p, ctypes.c_int32, ctypes.c_double


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
    _fields_ = [
        ("layers", _I), ("parts", _I), ("x", _P), ("grad_y", _P), ("y", _P), ("grad_x", _P), ("workspace", _P),
        ("gradients", _P), ("partial", _P), ("layer", _Layer * MOST_LAYERS),
    ]  # fmt: skip


class _Chains(ctypes.Structure):
    """``Chains`` of kernels/include/sparse_agents/cuda/chain.h."""

    _fields_ = [
        ("batch", _I), ("tallest", _I), ("scratch", _I), ("kept", _I), ("staged", _I), ("scale", _D), ("target", _P),
        ("losses", _P), ("loss", _P), ("chain", _Chain * MOST_CHAINS),
    ]  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """What goes through a small network, and what comes out where; None: not wanted, or not used.

    Attributes:
        network: of which :func:`sparse_agents.ops.cuda.geometry.fits_a_block` is true.
        weights: of its layers, in slot order.
        biases: of its layers.
        x: ``[batch, in_features]``.
        y: ``[batch, out_features]``.
        grad_y: like ``y``.
        grad_x: like ``x``.
        grad_weights: like the weights.
        grad_biases: like the biases.
        workspace: activations of all boundaries, that a forward leaves and a backward needs.
        gradients: like the workspace.
    """

    network: CudaNetwork
    weights: Sequence[Tensor]
    biases: Sequence[Tensor | None] = ()
    x: Tensor | None = None
    y: Tensor | None = None
    grad_y: Tensor | None = None
    grad_x: Tensor | None = None
    grad_weights: Sequence[Tensor | None] = ()
    grad_biases: Sequence[Tensor | None] = ()
    workspace: Tensor | None = None
    gradients: Tensor | None = None


class Chains:
    """Networks of one device, side by side.

    Args:
        flows: through them.
        batch: samples.
    """

    def __init__(self, flows: Sequence[Flow], batch: int) -> None:
        self.flows, self.batch = flows, batch
        self._launcher, self._device = flows[0].network.launcher, flows[0].network.device

    def forward(self) -> None:
        """From ``x`` to ``y``, and the workspace."""
        for some in self._at_once():
            some.launch(FORWARD)

    def backward(self) -> None:
        """From ``grad_y`` and the workspace to all other gradients."""
        for some in self._at_once():
            some.launch(BACKWARD)
            some.add_up()

    def fit(self, target: Tensor, scale: float, loss: Tensor) -> None:
        """From ``x`` to the parameters' gradients of ``scale`` times the mean squared error, which is added to
        ``loss``, float64; of networks with one output.
        """
        for some in self._at_once():
            some.lose(scale, loss, target)
            some.launch(FIT)
            some.add_up()

    def ascend(self, scale: float, loss: Tensor) -> None:
        """From the first network's ``x`` to its parameters' gradients of ``scale`` times the mean of what the second
        one says of ``x`` and the first one's output; it is added to ``loss``.
        """
        both = _Launch(self.flows, self.batch, together=True)
        both.lose(scale, loss)
        both.launch(ASCEND)
        both.add_up()

    def _at_once(self) -> Iterator[_Launch]:
        for begin in range(0, len(self.flows), MOST_CHAINS):
            yield _Launch(self.flows[begin : begin + MOST_CHAINS], self.batch)


class _Launch:
    """Of at most :data:`MOST_CHAINS` networks: each with blocks of its own, or ``together`` in the same ones."""

    def __init__(self, flows: Sequence[Flow], batch: int, together: bool = False) -> None:
        networks = [flow.network for flow in flows]
        self._launcher, self._device = networks[0].launcher, networks[0].device
        self._flows, self._rows = flows, 1 if together else len(flows)
        self._geometries = [chain_geometry(one.heights, batch, self._launcher.processor) for one in networks]
        features = [one.kept for one in networks]
        connections = max(sum(e.nnz for e in one.edges) for one in networks)
        self._features = sum(features) if together else max(features)
        tallest = max(max(one.heights) for one in networks)
        self._room = shared_room(tallest, self._features, connections, self._launcher.processor)
        self._alive: list[Tensor] = []
        self._chains = _Chains(batch, tallest, SCRATCH, 0, self._room.staged)
        for place, flow, geometry in zip(self._chains.chain, flows, self._geometries, strict=False):
            _describe(place, flow, geometry)
            if place.parts:
                place.partial = self._memory(self._blocks * place.parts)

    def lose(self, scale: float, loss: Tensor, target: Tensor | None = None) -> None:
        """There is a loss; activations lie wherever there is room."""
        chains, room = self._chains, self._room
        chains.scale, chains.loss, chains.target = scale, pointer(loss), pointer(target)
        chains.losses = self._memory(self._losses, torch.float64)
        chains.kept = room.kept
        if not room.kept:
            for place, flow in zip(chains.chain, self._flows, strict=False):
                place.workspace = self._memory(self._blocks * flow.network.kept * COLUMNS)

    def launch(self, kernel: Kernel) -> None:
        shared = self._room.bytes(self._chains.kept)
        grid, block = (self._blocks, self._rows, 1), (self._geometries[0].threads, 1, 1)
        self._launcher.launch(kernel, grid, block, shared, (self._chains,))

    def add_up(self) -> None:
        """What blocks have, where they have something."""
        most = max(place.parts for place in self._chains.chain)
        if most:
            grid = (-(-most // SUMMING), self._rows, 1)
            losses = self._losses if self._chains.loss else 0
            arguments = (self._chains, _I(self._blocks), _I(losses))
            self._launcher.launch(SUM, grid, (SUMMING, 1, 1), 0, arguments)

    @property
    def _blocks(self) -> int:
        return self._geometries[0].blocks

    @property
    def _losses(self) -> int:
        return self._rows * self._blocks

    def _memory(self, numbers: int, dtype: torch.dtype = torch.float32) -> int:
        self._alive.append(torch.empty(numbers, dtype=dtype, device=self._device))
        return self._alive[-1].data_ptr()


def _describe(chain: _Chain, flow: Flow, geometry: ChainGeometry) -> None:
    """``parts`` counts what is wanted."""
    network = flow.network
    nothing: Sequence[None] = [None] * len(network.edges)
    biases, grad_weights, grad_biases = (
        given or nothing for given in (flow.biases, flow.grad_weights, flow.grad_biases)
    )
    chain.layers = len(network.edges)
    for name in ("x", "y", "grad_y", "grad_x", "workspace", "gradients"):
        setattr(chain, name, pointer(getattr(flow, name)))
    for i, edges in enumerate(network.edges):
        layer = chain.layer[i]
        (layer.rows, layer.cols), layer.connections = edges.shape, edges.nnz
        layer.activation = network.activations[i].code
        layer.by_output = _Direction.of(network.by_output[i], geometry.lanes_up[i])
        layer.by_input = _Direction.of(network.by_input[i], geometry.lanes_down[i])
        layer.weight, layer.bias = pointer(flow.weights[i]), pointer(biases[i])
        layer.grad_weight, layer.grad_bias = pointer(grad_weights[i]), pointer(grad_biases[i])
        layer.weight_offset = chain.parts
        chain.parts += 0 if grad_weights[i] is None else edges.nnz
        layer.bias_offset = chain.parts
        chain.parts += 0 if grad_biases[i] is None else edges.shape[0]
