"""A chain of sparse layers and activations as one differentiable operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops import reference
from sparse_agents.ops.library import library
from sparse_agents.ops.native import ACTIVATIONS, DTYPES, NativeNetwork
from sparse_agents.ops.probe import GradientProbe
from sparse_agents.topology import Edges, Topology, full_edges

_REFERENCE_ACTIVATIONS = {"identity": lambda x: x, "relu": torch.relu, "tanh": torch.tanh}
assert _REFERENCE_ACTIVATIONS.keys() == ACTIVATIONS.keys()


class Chain:
    """The structure of a chain at one moment: a snapshot of its edges, and its native handles.

    Args:
        topologies: one per layer; None for a dense ``nn.Linear``, which is a layer with every edge.
        shapes: ``(out_features, in_features)`` per layer.
        activations: ``"identity"``, ``"relu"`` or ``"tanh"`` after each layer.
        probes: one per layer, None for a dense layer.
    """

    def __init__(
        self, topologies: Sequence[Topology | None], shapes: Sequence[tuple[int, int]],
        activations: Sequence[str], probes: Sequence[GradientProbe | None],
    ) -> None:  # fmt: skip
        self.topologies = tuple(topologies)
        self.activations = tuple(activations)
        self.probes = tuple(probes)
        self.edges: tuple[Edges, ...] = tuple(
            full_edges(shape) if t is None else t.edges for t, shape in zip(topologies, shapes, strict=True)
        )
        self._watched = [(t, e) for t, e in zip(self.topologies, self.edges, strict=True) if t is not None]
        self._native: dict[torch.dtype, NativeNetwork] = {}

    def current(self) -> bool:
        """Whether the snapshot still is what the topologies say."""
        for topology, edges in self._watched:  # noqa: SIM110  at every forward: a loop is twice as fast
            if topology.edges is not edges:
                return False
        return True

    @property
    def armed(self) -> list[int]:
        """Layers whose dense gradient somebody waits for."""
        return [i for i, probe in enumerate(self.probes) if probe is not None and probe.armed]

    def native(self, x: Tensor) -> NativeNetwork | None:
        """The compiled network for such an input, or None where only the reference serves."""
        if not x.is_cpu or x.shape[0] == 0:
            return None
        network = self._native.get(x.dtype)
        if network is None and x.dtype in DTYPES and library() is not None:
            network = self._native[x.dtype] = NativeNetwork(self.edges, self.activations, x.dtype)
        return network


def apply_chain(chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """Run a chain on ``x`` [batch, in_features] -> [batch, out_features].

    ``weights``: per layer ``[nnz]`` in slot order; ``biases``: ``[out_features]`` or None.
    First derivatives are native where a kernel library is loaded; higher ones use the reference.
    """
    _check_input(chain, x, weights[0])
    network = chain.native(x)
    if network is None:
        return _reference_chain(chain, x, weights, biases)
    x = x.contiguous()
    if torch.is_grad_enabled() and _any_requires_grad(x, *weights, *biases):
        output: Tensor = _NativeChain.apply(chain, network, x, *weights, *biases)
        return output
    y = network.forward(x, x.shape[0], weights, biases, None)
    assert y is not None
    return y


def _any_requires_grad(*tensors: Tensor | None) -> bool:
    for tensor in tensors:  # noqa: SIM110  see Chain.current
        if tensor is not None and tensor.requires_grad:
            return True
    return False


def _check_input(chain: Chain, x: Tensor, weight: Tensor) -> None:
    features = chain.edges[0].shape[1]
    if x.ndim != 2 or x.shape[1] != features:
        raise ValueError(f"A sparse layer of {features} inputs got an input of shape {tuple(x.shape)}.")
    if x.dtype != weight.dtype:
        raise ValueError(f"A sparse layer of {weight.dtype} weights got {x.dtype} inputs.")


def _reference_chain(
    chain: Chain, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], probing: bool = True
) -> Tensor:
    h = x.t()
    for i, edges in enumerate(chain.edges):
        below = h
        h = reference.matmul(edges, weights[i], h)
        bias, probe = biases[i], chain.probes[i]
        if bias is not None:
            h = h + bias.unsqueeze(1)
        if probing and probe is not None and probe.armed and h.requires_grad:
            h.register_hook(_recorder(probe, weights[i], below.detach()))
        h = _REFERENCE_ACTIVATIONS[chain.activations[i]](h)
    return h.t()


def _recorder(probe: GradientProbe, weight: Tensor, x: Tensor) -> Any:
    return lambda grad: probe.record(weight, x, grad.detach())


class _NativeChain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, chain: Chain, network: NativeNetwork, x: Tensor, *parameters: Tensor | None) -> Tensor:
        layers = len(chain.edges)
        workspace = network.workspace(x.shape[0])
        y = network.forward(x, x.shape[0], parameters[:layers], parameters[layers:], workspace)  # type: ignore[arg-type]
        ctx.chain, ctx.network, ctx.workspace = chain, network, workspace
        ctx.save_for_backward(x, *parameters)
        assert y is not None
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        chain: Chain = ctx.chain
        if not chain.current():
            raise RuntimeError(
                "The topology changed between this forward and its backward. Finish the backward before the "
                "optimizer step that rewires, or run the forward again."
            )
        x, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: a differentiable backward is wanted
            return _differentiable_backward(ctx, grads[0], x, parameters)
        return _native_backward(ctx, grads[0].contiguous(), x, parameters)


def _differentiable_backward(ctx: Any, grad: Tensor, x: Tensor, parameters: list[Tensor]) -> tuple[Tensor | None, ...]:
    layers = len(ctx.chain.edges)
    inputs = [x, *parameters]
    wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
    y = _reference_chain(ctx.chain, x, parameters[:layers], parameters[layers:], probing=False)
    found = torch.autograd.grad(y, [inputs[i] for i in wanted], grad, create_graph=True)
    results: list[Tensor | None] = [None] * len(inputs)
    for i, gradient in zip(wanted, found, strict=True):
        results[i] = gradient
    return (None, None, *results)


def _native_backward(ctx: Any, grad: Tensor, x: Tensor, parameters: list[Tensor]) -> tuple[Tensor | None, ...]:
    chain: Chain = ctx.chain
    network: NativeNetwork = ctx.network
    layers, batch = len(chain.edges), x.shape[0]
    wanted = ctx.needs_input_grad[3:]
    gradients = [torch.empty_like(p) if w else None for p, w in zip(parameters, wanted, strict=True)]
    grad_x = torch.empty_like(x) if ctx.needs_input_grad[2] else None
    armed = chain.armed
    grad_workspace = network.workspace(batch) if armed else None
    network.backward(
        batch, ctx.workspace, parameters[:layers], grad, grad_x, gradients[:layers], gradients[layers:], grad_workspace
    )
    if grad_workspace is not None:
        for i in armed:
            probe = chain.probes[i]
            assert probe is not None
            below = network.features(ctx.workspace, batch, i)
            probe.record(parameters[i], below, network.features(grad_workspace, batch, i + 1))
    return (None, None, grad_x, *gradients)
