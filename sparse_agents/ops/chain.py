"""A chain of sparse layers and activations as one differentiable operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops import reference
from sparse_agents.ops.activation import ACTIVATIONS
from sparse_agents.ops.cuda import CudaNetwork, cuda_network, launcher_for
from sparse_agents.ops.cuda.geometry import COLUMNS
from sparse_agents.ops.library import library
from sparse_agents.ops.native import DTYPES, NativeNetwork, norm_features, workspace_unit
from sparse_agents.ops.probe import GradientProbe, Pair
from sparse_agents.topology import HOST, Edges, Topology, full_edges

STALE_GRAPH = (
    "The topology changed between this forward and its backward. Finish the backward before the optimizer step that "
    "rewires, or run the forward again."
)

Network = NativeNetwork | CudaNetwork
_NUMBERS = count()


class Chain:
    """The structure of a chain at one moment: a snapshot of its edges, and its native handles.

    Args:
        topologies: one per layer; None for a dense ``nn.Linear``, which is a layer with every edge.
        shapes: ``(out_features, in_features)`` per layer.
        activations: names of :data:`ACTIVATIONS`, what follows each layer.
        probes: one per layer, None for a dense layer.
    """

    def __init__(
        self, topologies: Sequence[Topology | None], shapes: Sequence[tuple[int, int]],
        activations: Sequence[str], probes: Sequence[GradientProbe | None],
    ) -> None:  # fmt: skip
        self.topologies = tuple(topologies)
        self.activations = tuple(activations)
        self.probes = tuple(probes)
        device = next((t.edges.col.device for t in topologies if t is not None), HOST)
        self.edges: tuple[Edges, ...] = tuple(
            full_edges(shape, device) if t is None else t.edges for t, shape in zip(topologies, shapes, strict=True)
        )
        self.partial = [e.active for e in self.edges] if any(e.active is not None for e in self.edges) else None
        self.sizes = [(e.nnz, e.shape[0]) for e in self.edges]
        self._watched = [(t, e) for t, e in zip(self.topologies, self.edges, strict=True) if t is not None]
        self._native: dict[tuple[torch.device, torch.dtype], Network] = {}
        self.number = next(_NUMBERS)

    def current(self) -> bool:
        """Whether the snapshot still is what the topologies say."""
        for topology, edges in self._watched:  # noqa: SIM110  at every forward: a loop is twice as fast
            if topology.edges is not edges:
                return False
        return True

    def require_current(self) -> None:
        """At the begin of a backward: refuse gradients for connections that are gone."""
        if not self.current():
            raise RuntimeError(STALE_GRAPH)

    @property
    def armed(self) -> list[int]:
        """Layers whose dense gradient somebody waits for."""
        return [i for i, probe in enumerate(self.probes) if probe is not None and probe.armed]

    def serves(self, x: Tensor) -> type[Network] | None:
        """What :meth:`native` gives for such an input, of whatever batch."""
        if x.is_cpu and x.dtype in DTYPES and library() is not None:
            return NativeNetwork
        if x.is_cuda and x.dtype == torch.float32 and launcher_for(x.device) is not None:
            return CudaNetwork
        return None

    def native(self, x: Tensor) -> Network | None:
        """The compiled network for such an input, or None where only the reference serves."""
        if x.shape[0] == 0:
            return None
        network = self._native.get((x.device, x.dtype))
        if network is None:
            network = self._new_native(x)
            if network is not None:
                self._native[x.device, x.dtype] = network
        return network

    def workspace_unit(self, x: Tensor) -> tuple[int, int]:
        """Workspaces for such an input are for multiples of so many samples, and have so many numbers for that many."""
        if self.serves(x) is CudaNetwork:
            features = self.edges[0].shape[1] + sum(e.shape[0] for e in self.edges)
            return COLUMNS, COLUMNS * (features + norm_features(self.edges, self.activations))
        return workspace_unit(self.edges, self.activations, x.dtype)

    def _new_native(self, x: Tensor) -> Network | None:
        kind = self.serves(x)
        if kind is NativeNetwork:
            return NativeNetwork(self.edges, self.activations, x.dtype)
        if kind is CudaNetwork:
            launcher = launcher_for(x.device)
            assert launcher is not None
            return cuda_network(self.edges, self.activations, launcher)
        return None


def apply_chain(chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """Run a chain on ``x`` [batch, in_features] -> [batch, out_features].

    ``weights``: per layer ``[nnz]`` in slot order, or a dense layer's matrix; ``biases``: ``[out_features]`` or None.
    First derivatives are native where a kernel library is loaded; higher ones use the reference.
    """
    check(chain, x, weights, biases)
    weights = resting_as_zero(chain, weights)
    network = chain.native(x)
    if network is None:
        return _reference_chain(chain, x, weights, biases)
    x = x.contiguous()
    weights = [w.contiguous() for w in weights]
    biases = [None if b is None else b.contiguous() for b in biases]
    if torch.is_grad_enabled() and _any_requires_grad(x, *weights, *biases):
        output: Tensor = _NativeChain.apply(chain, network, x, *weights, *biases)
        return output
    y = network.forward(x, x.shape[0], weights, biases, None)
    assert y is not None
    return y


def product_with(edges: Edges, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Multiplication with the adjacency matrix: ``[batch, in_features]`` to ``[batch, out_features]``."""
    chain = Chain([Topology(edges)], [edges.shape], ["identity"], [None])
    ones = [torch.ones(edges.nnz, dtype=dtype, device=edges.col.device)]
    return lambda x: apply_chain(chain, x, ones, [None])


def _any_requires_grad(*tensors: Tensor | None) -> bool:
    for tensor in tensors:  # noqa: SIM110  see Chain.current
        if tensor is not None and tensor.requires_grad:
            return True
    return False


def check(chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
    """The kernels trust sizes and types, so nothing that does not fit may reach them.

    Raises:
        ValueError, RuntimeError: saying what it is that does not fit.
    """
    if not _fits(chain, x, weights, biases):
        raise _misfit(chain, x, weights, biases)


def resting_as_zero(chain: Chain, weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """What a chain computes with; gradients reach resting connections, too."""
    if chain.partial is None:
        return weights
    return [
        w if active is None else w - (w * ~active).detach() for w, active in zip(weights, chain.partial, strict=True)
    ]


def _fits(chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> bool:
    dtype, device = x.dtype, x.get_device()
    if x.ndim != 2 or x.shape[1] != chain.edges[0].shape[1] or dtype not in DTYPES:
        return False
    for weight, bias, (connections, rows) in zip(weights, biases, chain.sizes, strict=True):
        if weight.dtype != dtype or weight.numel() != connections or weight.get_device() != device:
            return False
        if bias is not None and (bias.dtype != dtype or bias.numel() != rows or bias.get_device() != device):
            return False
    return True


def _misfit(chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Exception:
    """What it is that does not fit."""
    features, dtype = chain.edges[0].shape[1], x.dtype
    if x.ndim != 2 or x.shape[1] != features:
        return ValueError(f"A sparse layer of {features} inputs got an input of shape {tuple(x.shape)}.")
    for weight, bias, (connections, rows) in zip(weights, biases, chain.sizes, strict=True):
        if weight.dtype != dtype or (bias is not None and bias.dtype != dtype):
            return ValueError(
                f"A sparse layer of {weight.dtype} weights got {dtype} inputs, or a bias of another type."
            )
        if weight.device != x.device or (bias is not None and bias.device != x.device):
            return RuntimeError(f"A sparse layer on {weight.device} got inputs, or a bias, on {x.device}.")
        if weight.numel() != connections:
            return RuntimeError(
                f"A sparse layer has {weight.numel()} weights for {connections} connections: its topology was changed, "
                "or loaded into another layer that shares it, without its weights."
            )
        if bias is not None and bias.numel() != rows:
            return ValueError(f"A sparse layer of {rows} outputs has a bias of shape {tuple(bias.shape)}.")
    return ValueError(f"A sparse layer got {dtype} inputs; it computes in float32 and float64.")


def _reference_chain(chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    h = x.t()
    for i, edges in enumerate(chain.edges):
        below = h
        h = reference.matmul(edges, weights[i].reshape(-1), h)
        bias, probe = biases[i], chain.probes[i]
        if bias is not None:
            h = h + bias.unsqueeze(1)
        if probe is not None and probe.armed and h.requires_grad:
            y = ACTIVATIONS[chain.activations[i]](h.detach())
            h.register_hook(_recorder(probe, below.detach(), y))
        h = ACTIVATIONS[chain.activations[i]](h)
    if h.requires_grad:
        h.register_hook(lambda grad: chain.require_current())
    return h.t()


def _recorder(probe: GradientProbe, x: Tensor, y: Tensor) -> Any:
    return lambda grad: probe.record(Pair(x, grad.detach(), y))


class _NativeChain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chain: Chain, network: Network, x: Tensor, *parameters: Tensor | None) -> Tensor:
        layers, batch = len(chain.edges), len(x)
        workspace = network.workspace(batch)
        y = network.forward(x, batch, parameters[:layers], parameters[layers:], workspace)  # type: ignore[arg-type]
        ctx.held = chain, network, workspace
        ctx.save_for_backward(x, *parameters)
        assert y is not None
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        chain: Chain = ctx.held[0]
        chain.require_current()
        x, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: a differentiable backward is wanted
            return _differentiable_backward(ctx, grad, x, parameters)
        _, network, workspace = ctx.held
        wanted = ctx.needs_input_grad[2:]
        return (None, None, *native_backward(chain, network, workspace, wanted, grad.contiguous(), x, parameters))


def _differentiable_backward(ctx: Any, grad: Tensor, x: Tensor, parameters: list[Tensor]) -> tuple[Tensor | None, ...]:
    """The backward written out in differentiable operations, for ``create_graph``.

    Not by ``autograd.grad`` of the reference forward: where the input itself was made from the weights, that
    would follow the whole graph and count them twice.
    """
    edges, activations = ctx.held[0].edges, ctx.held[0].activations
    layers = len(edges)
    weights = [parameter.reshape(-1) for parameter in parameters[:layers]]
    values, sums = [x.t()], []
    for i in range(layers):
        z = reference.matmul(edges[i], weights[i], values[-1])
        bias = parameters[layers + i]
        sums.append(z if bias is None else z + bias.unsqueeze(1))
        values.append(ACTIVATIONS[activations[i]](sums[i]))
    grad_weights: list[Tensor | None] = [None] * layers
    grad_biases: list[Tensor | None] = [None] * layers
    g = grad.t()
    for i in reversed(range(layers)):
        g = ACTIVATIONS[activations[i]].by_sums(g, sums[i], values[i + 1])
        if ctx.needs_input_grad[3 + i]:
            grad_weights[i] = reference.sampled(edges[i], g, values[i]).view_as(parameters[i])
        grad_biases[i] = g.sum(1) if ctx.needs_input_grad[3 + layers + i] else None
        g = reference.transposed_matmul(edges[i], weights[i], g)
    return (None, None, g.t() if ctx.needs_input_grad[2] else None, *grad_weights, *grad_biases)


def native_backward(
    chain: Chain, network: Network, workspace: Any, wanted: Sequence[bool], grad: Tensor, x: Tensor,
    parameters: Sequence[Tensor | None],
) -> list[Tensor | None]:  # fmt: skip
    """The gradients that are wanted of the input, the weights and the biases; None of the others.

    Args:
        workspace: of the forward.
        wanted: of the input, then of ``parameters``.
        grad: of the output, contiguous.
        x: the input.
        parameters: weights, then biases.
    """
    layers, batch = len(chain.edges), len(x)
    weights: Any = parameters[:layers]
    grad_x, *gradients = [
        torch.empty_like(one) if want and one is not None else None
        for one, want in zip((x, *parameters), wanted, strict=True)
    ]
    armed = [i for i in chain.armed if wanted[1 + i]]
    grad_workspace: Any = network.workspace(batch) if armed else None
    network.backward(batch, workspace, weights, grad, grad_x, gradients[:layers], gradients[layers:], grad_workspace)
    for i in armed:
        x_i, y_i = (network.features(workspace, batch, boundary) for boundary in (i, i + 1))
        chain.probes[i].record(Pair(x_i, network.features(grad_workspace, batch, i + 1), y_i))  # type: ignore[union-attr]
    return [grad_x, *gradients]
