"""On a real device."""

from __future__ import annotations

import copy
import itertools
import threading
from typing import Any

import pytest
import torch
from torch import nn

from sparse_agents import SparseLinear, sparsify

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


LINEAR = (SparseLinear, nn.Linear)


@pytest.mark.parametrize("batch", [1, 7, 256])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "widths",
    [(9, 33, 2), (23, 256, 256, 1), (300, 1024, 17), (5000, 512, 3), (70_000, 64, 3), (64, 1024, 2048, 8)],
    ids=["small", "critic", "wide", "in parts", "in many parts", "blocks"],
)
def test_networks_are_those_of_the_processor(widths: tuple[int, ...], sparsity: float, batch: int) -> None:
    """Of tanh: among so many units one is so near zero that rounding would decide whether it is active."""
    blocks = {"block_size": (4, 4)} if widths[-1] == 8 else {}
    modules: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.Tanh()]
    assert_alike(nn.Sequential(*modules[:-1]), sparsity, batch, **blocks)


@pytest.mark.parametrize("batch", [1, 7, 256])
@pytest.mark.parametrize("sparsity", [0.9])
@pytest.mark.parametrize("widths", [(23, 256, 256, 1), (300, 1024, 2048, 8)], ids=["normalised", "wide and normalised"])
def test_normalised_networks(widths: tuple[int, ...], sparsity: float, batch: int) -> None:
    modules: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.LayerNorm(n_out, elementwise_affine=False), nn.ReLU()]
    assert_alike(nn.Sequential(*modules[:-2]), sparsity, batch)


def assert_alike(network: nn.Module, sparsity: float, batch: int, **topology: Any) -> None:
    """On the device in float32, and on the processor in float64."""
    sparsify(network, sparsity=sparsity, topology_kwargs=topology)
    device = copy.deepcopy(network).cuda()
    x = torch.randn(batch, next(layer.in_features for layer in network.modules() if isinstance(layer, LINEAR)))
    exact, copied = network.double(), x.double().requires_grad_()
    given = x.cuda().requires_grad_()
    exact(copied).square().sum().backward()
    device(given).square().sum().backward()
    assert copied.grad is not None
    assert given.grad is not None
    for name, expected, found in [
        ("input", copied.grad, given.grad),
        *((name, p.grad, dict(device.named_parameters())[name].grad) for name, p in exact.named_parameters()),
    ]:
        error = (found.cpu().double() - expected).norm() / expected.norm().clamp(min=1e-12)
        assert error < 1e-5, name


def test_the_same_bits_every_time() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(100, 300), nn.ReLU(), nn.Linear(300, 10))
    sparsify(network, sparsity=0.9)
    network.cuda()
    x = torch.randn(1000, 100, device="cuda")
    found = []
    for _ in range(3):
        network.zero_grad()
        network(x).square().sum().backward()
        found.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_on_a_thread_that_has_done_nothing_yet() -> None:
    """Autograd's own is such a one where the first backward begins with a sparse layer."""
    network = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 2))
    sparsify(network, sparsity=0.5)
    network.cuda()
    x, found = torch.randn(5, 20, device="cuda"), []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: found.append(network(x)))
        thread.start()
        thread.join()
        assert torch.equal(found[0], network(x))


@pytest.mark.parametrize("place", ["cuda", "cpu"])
def test_inputs_that_are_elsewhere_are_refused(place: str) -> None:
    layer = SparseLinear(4, 3, sparsity=0.5).to(place)
    with pytest.raises(RuntimeError, match=r"A sparse layer on (cuda:0|cpu) got inputs, or a bias, on"):
        layer(torch.zeros(2, 4, device="cpu" if place == "cuda" else "cuda"))
