"""The kernels against dense torch: bare layers, whole networks, single layers, gradient steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from stable_baselines3 import TD3
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from sparse_agents.benchmark.replay import fill
from sparse_agents.benchmark.rivals import bare_dense, dense_network, forward_backward, rivals, with_layers
from sparse_agents.benchmark.timing import Record, compare
from sparse_agents.nn import (
    SparseLinear,
    SparseSequential,
    dense_layers,
    matrix_shape,
    random_topologies,
    replace_layers,
)
from sparse_agents.ops import NativeNetwork, select_isa, supported_isas
from sparse_agents.runs import gradient_step_seconds, make_env
from sparse_agents.topology import Budget, Edges, allocate, random_edges

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
NETWORKS = ((23, 256, 256, 1), (365, 1024, 1024, 1))
DENSE = "nn.Linear"


def _bare(edges: Edges, batch: int) -> Callable[[], None]:
    """Forward and both gradients of one layer on tiles already feature-major, the calls prepared."""
    network = NativeNetwork([edges], ["identity"], torch.float32)
    weight, bias = torch.randn(edges.nnz), torch.randn(edges.shape[0])
    gradients = torch.empty_like(weight), torch.empty_like(bias)
    tiles = network.workspace(batch), network.workspace(batch)
    for workspace in tiles:
        workspace.tensor.normal_()
    forward = network.forward_arguments(None, batch, [weight], [bias], tiles[0], None)
    backward = network.backward_arguments(
        batch, tiles[0], [weight], None, None, [gradients[0]], [gradients[1]], tiles[1], input_gradient=True
    )
    alive = network, weight, bias, gradients, tiles

    def call(alive: object = alive) -> None:
        network.library.sa_network_forward(*forward)
        network.library.sa_network_backward(*backward)

    return call


def bare_layers(batch: int = 256, sizes: Sequence[int] = (256, 1024)) -> Iterator[Record]:
    """Bare layer kernels, feature-major, one column per instruction set; dense with and without autograd."""
    best = supported_isas()[0]
    for n in sizes:
        linear = nn.Linear(n, n)
        x = torch.randn(batch, n, requires_grad=True)
        gradient = torch.randn(batch, n)
        for sparsity in SPARSITIES:
            edges = random_edges((n, n), round(n * n * (1 - sparsity)), torch.Generator().manual_seed(0))
            calls = {DENSE: forward_backward(linear, x, gradient)}
            for isa in supported_isas():
                select_isa(isa)
                calls[isa] = _bare(edges, batch)
            select_isa(best)
            calls["bare dense matmuls"] = bare_dense(
                linear.weight.detach(), linear.bias.detach(), torch.randn(n, batch), torch.randn(n, batch)
            )
            yield from compare(f"layer {n}x{n}", sparsity, batch, torch.get_num_threads(), calls, DENSE)


def sparse_network(widths: Sequence[int], sparsity: float) -> tuple[nn.Sequential, SparseSequential]:
    """A dense network and its sparse twin: hidden layers of uniform density, the head dense."""
    dense = dense_network(widths)
    sparse = copy.deepcopy(dense)
    layers = dense_layers(sparse)
    hidden = list(layers)[:-1]
    shapes = {name: matrix_shape(layers[name]) for name in hidden}
    connections = allocate(Budget(shapes, sparsity), "uniform")
    head = list(layers)[-1]
    connections[head] = layers[head].weight.numel()
    replace_layers(sparse, random_topologies(layers, connections, torch.Generator().manual_seed(0)))
    assert isinstance(sparse, SparseSequential)
    return dense, sparse


def networks(
    batch: int = 256, shapes: Sequence[Sequence[int]] = NETWORKS, with_rivals: bool = True
) -> Iterator[Record]:
    """Whole networks through the public autograd path."""
    for widths in shapes:
        for sparsity in SPARSITIES:
            dense, sparse = sparse_network(widths, sparsity)
            x, gradient = torch.randn(batch, widths[0]), torch.ones(batch, widths[-1])
            calls = {
                DENSE: forward_backward(dense, x, gradient),
                "sparse_agents": forward_backward(sparse, x, gradient),
            }
            if with_rivals:
                for name, replacement in rivals().items():
                    calls[name] = forward_backward(with_layers(sparse, replacement), x, gradient)
            case = "network " + "-".join(map(str, widths))
            yield from compare(case, sparsity, batch, torch.get_num_threads(), calls, DENSE)


def single_layers(batch: int = 256, n: int = 256) -> Iterator[Record]:
    """One ``SparseLinear`` by itself: it pays for the transposes."""
    linear = nn.Linear(n, n)
    x, gradient = torch.randn(batch, n, requires_grad=True), torch.randn(batch, n)
    for sparsity in SPARSITIES:
        layer = SparseLinear(n, n, sparsity=sparsity)
        calls = {DENSE: forward_backward(linear, x, gradient), "SparseLinear": forward_backward(layer, x, gradient)}
        yield from compare(f"SparseLinear {n}x{n}", sparsity, batch, torch.get_num_threads(), calls, DENSE)


def acting(widths: Sequence[int] = NETWORKS[0]) -> Iterator[Record]:
    """Forward of one sample without gradients."""
    for sparsity in SPARSITIES:
        dense, sparse = sparse_network(widths, sparsity)
        x = torch.randn(1, widths[0])

        def call(module: nn.Module, x: torch.Tensor = x) -> Callable[[], None]:
            def run() -> None:
                with torch.no_grad():
                    module(x)

            return run

        case = "acting " + "-".join(map(str, widths))
        calls = {DENSE: call(dense), "sparse_agents": call(sparse)}
        yield from compare(case, sparsity, 1, torch.get_num_threads(), calls, DENSE)


def gradient_steps(batch: int = 256, sparsity: float = 0.9, env_id: str = "HalfCheetah-v5") -> Iterator[Record]:
    """Stock Stable-Baselines3 TD3, dense and with ``"SparseMlpPolicy"``, with torch's loop and fused Adam."""
    models: dict[str, OffPolicyAlgorithm] = {}
    for policy, label in (("MlpPolicy", "dense TD3"), ("SparseMlpPolicy", "sparse TD3")):
        for fused in (False, True):
            kwargs: dict[str, Any] = {"net_arch": [256, 256], "optimizer_kwargs": {"fused": fused}}
            if policy == "SparseMlpPolicy":
                kwargs["sparsity"] = sparsity
            name = label + (", fused Adam" if fused else "")
            models[name] = TD3(policy, make_env(env_id, 0), buffer_size=5000, policy_kwargs=kwargs, device="cpu")
            fill(models[name])
    seconds = gradient_step_seconds(models, batch, steps=100, rounds=5)
    baseline = "dense TD3"
    for name, value in seconds.items():
        if name != baseline:
            ratio = seconds[baseline] / value
            threads = torch.get_num_threads()
            case = f"TD3 gradient step, {env_id}"
            yield Record(case, sparsity, batch, threads, name, baseline, value, seconds[baseline], ratio)
