"""Chains of layers on an emulated device, against dense ones in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from emulation import EmulatedLauncher
from torch import Tensor

from sparse_agents.ops.cuda import CudaNetwork, OwnRows, Processor
from sparse_agents.ops.cuda.layered import LayeredNetwork
from sparse_agents.ops.cuda.small import SmallNetwork
from sparse_agents.topology import Edges

KINDS = {
    "layered": (LayeredNetwork, Processor(multiprocessors=3, shared_bytes=4096)),
    "small": (SmallNetwork, Processor(multiprocessors=1, shared_bytes=1 << 16)),  # two blocks
}
ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "layer_norm_relu": lambda x: torch.relu(torch.layer_norm(x, x.shape[1:])),
    "layer_norm_tanh": lambda x: torch.tanh(torch.layer_norm(x, x.shape[1:])),
}


def drawn(rows: int, cols: int, density: float, generator: torch.Generator, block: tuple[int, int] = (1, 1)) -> Edges:
    coarse = torch.rand(rows // block[0], cols // block[1], generator=generator) < density
    return Edges.from_mask(coarse.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1))


def dense(
    edges: list[Edges], weights: list[Tensor], biases: list[Tensor | None], activations: list[str], x: Tensor
) -> Tensor:
    h = x
    for e, w, b, activation in zip(edges, weights, biases, activations, strict=True):
        h = h @ e.dense(w).t()
        h = ACTIVATIONS[activation](h if b is None else h + b)
    return h


CASES = {
    "odd sizes": ([5, 7, 3], 0.5, 13),
    "one sample": ([9, 6, 2], 0.4, 1),
    "wide rows of several passes": ([1300, 9], 0.9, 9),
    "full": ([33, 20, 4], 1.0, 24),
    "no connection at all": ([4, 6, 3], 0.0, 5),
    "tiles in parts": ([160, 40, 31], 0.3, 33),
    "hardly read twice": ([160, 40, 31], 0.02, 17),
    "one unit": ([1, 1], 1.0, 3),
    "many rows": ([20, 300, 2], 0.2, 40),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_forward_and_backward_are_those_of_dense_layers(case: str, seed: int, kind: str) -> None:
    widths, density, batch = CASES[case]
    generator = torch.Generator().manual_seed(seed)
    check([drawn(rows, cols, density, generator) for cols, rows in itertools.pairwise(widths)], seed, kind, batch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 8, 21])
def test_layers_with_layer_norm(batch: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(batch)
    edges = [drawn(rows, cols, 0.3, generator) for cols, rows in ((9, 40), (40, 30), (30, 12), (12, 3))]
    names = ["layer_norm_relu", "tanh", "layer_norm_tanh", "identity"]
    check(edges, 0, kind, batch, names)
    check(edges[:1], 0, kind, batch, ["layer_norm_tanh"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [(4, 1), (8, 1), (4, 4), (1, 8), (12, 2)], ids=str)
@pytest.mark.parametrize("batch", [1, 21])
def test_blocks_of_connections(block: tuple[int, int], batch: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(batch)
    widths = (48, 96, 24)
    check([drawn(rows, cols, 0.4, generator, block) for cols, rows in itertools.pairwise(widths)], 0, kind, batch)


@pytest.mark.parametrize("seed", range(6))
def test_a_row_of_several_passes_among_short_ones(seed: int) -> None:
    """Its first pass, too, asks for the last features: 299 is the first one that is 3 modulo 4."""
    features = torch.arange(300)
    long = (features % 4 == 0) | (features == 299)
    short = [features % 60 == row for row in range(60)]
    check([Edges.from_mask(torch.stack([*short, long]))], seed, "layered", 24)


def check(edges: list[Edges], seed: int, kind: str, batch: int, activations: list[str] | None = None) -> None:
    """Against autograd in float64."""
    generator = torch.Generator().manual_seed(100 + seed)
    widths = [edges[0].shape[1], *(e.shape[0] for e in edges)]
    if activations is None:
        activations = [*["relu", "tanh"][: len(edges) - 1], "identity" if seed else "tanh"]
    weights = [torch.randn(e.nnz, generator=generator) / 3 for e in edges]
    biases = [None if i == 1 else torch.randn(e.shape[0], generator=generator) for i, e in enumerate(edges)]
    x, grad = (torch.randn(batch, width, generator=generator) for width in (widths[0], widths[-1]))

    exact = [w.double().requires_grad_() for w in weights]
    exact_biases = [None if b is None else b.double().requires_grad_() for b in biases]
    exact_x = x.double().requires_grad_()
    y = dense(edges, exact, exact_biases, activations, exact_x)
    y.backward(grad.double())

    network_class, processor = KINDS[kind]
    network: CudaNetwork = network_class(edges, activations, EmulatedLauncher(processor, seed))
    workspace = network.workspace(batch)
    found = network.forward(x, batch, weights, biases, workspace)
    torch.testing.assert_close(found.double(), y.detach(), rtol=1e-5, atol=1e-5)

    nothing = float("nan")
    grad_x = torch.full_like(x, nothing)
    grad_weights = [torch.full_like(w, nothing) for w in weights]
    grad_biases = [None if b is None else torch.full_like(b, nothing) for b in biases]
    network.backward(batch, workspace, weights, grad, grad_x, grad_weights, grad_biases)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(grad_x.double(), exact_x.grad, **close)
    for w, of in zip(grad_weights, exact, strict=True):
        torch.testing.assert_close(w.double(), of.grad if of.grad is not None else torch.zeros_like(of), **close)
    for b, of in zip(grad_biases, exact_biases, strict=True):
        if b is not None and of is not None:
            torch.testing.assert_close(b.double(), of.grad, **close)


@pytest.mark.parametrize("kind", KINDS)
def test_other_connections_in_the_places_of_these(kind: str) -> None:
    """As many, of which one row may have all; the memory that kernels go through is what it was."""
    network_class, processor = KINDS[kind]
    launcher = EmulatedLauncher(processor)
    diagonal = torch.eye(70, dtype=torch.bool)
    network = network_class([Edges.from_mask(diagonal)], ["identity"], launcher, OwnRows())
    places = [rows.feature.data_ptr() for rows in (*network.by_output, *network.by_input)]
    gathered, fewer = torch.zeros_like(diagonal), diagonal.clone()
    gathered[3], fewer[0, 0] = True, False
    x, grad, weight = torch.randn(9, 70), torch.randn(9, 70), torch.randn(70)
    for mask in (gathered, gathered.t(), diagonal.roll(1, 0)):
        edges = Edges.from_mask(mask)
        assert network.connect([edges])
        workspace, grad_x, grad_weight = network.workspace(9), torch.empty_like(x), torch.empty(70)
        y = network.forward(x, 9, [weight], [None], workspace)
        network.backward(9, workspace, [weight], grad, grad_x, [grad_weight], [None])
        torch.testing.assert_close(y, x @ edges.dense(weight).t(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(grad_x, grad @ edges.dense(weight), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(grad_weight, (grad.t() @ x)[mask], rtol=1e-5, atol=1e-5)
    assert places == [rows.feature.data_ptr() for rows in (*network.by_output, *network.by_input)]
    assert not network.connect([Edges.from_mask(fewer)])
