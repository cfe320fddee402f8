"""On a real device."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from sparse_agents import sparsify

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("batch", [1, 7, 256])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "widths",
    [(9, 33, 2), (23, 256, 256, 1), (300, 1024, 17), (70_000, 64, 3)],
    ids=["small", "critic", "wide", "beyond shared memory"],
)
def test_networks_are_those_of_the_processor(widths: tuple[int, ...], sparsity: float, batch: int) -> None:
    modules: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
    network = nn.Sequential(*modules[:-1])
    sparsify(network, sparsity=sparsity)
    device = copy.deepcopy(network).cuda()
    x = torch.randn(batch, widths[0])
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
