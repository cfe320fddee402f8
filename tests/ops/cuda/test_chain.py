"""Networks on an emulated device, through autograd: what policies and rules see."""

from __future__ import annotations

import copy

import pytest
import torch
from emulation import EmulatedLauncher
from torch import nn

from sparse_agents import sparsify
from sparse_agents.ops import Chain
from sparse_agents.ops.cuda import CudaNetwork, Processor, cuda_network


@pytest.fixture(params=[1024, 8192], ids=["layered", "small"])
def emulated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[CudaNetwork]:
    """Every chain computes on one; those that were made."""
    launcher, made = EmulatedLauncher(Processor(multiprocessors=4, shared_bytes=request.param)), []

    def network(chain: Chain, x: torch.Tensor) -> CudaNetwork:
        made.append(cuda_network(chain.edges, chain.activations, launcher))
        return made[-1]

    monkeypatch.setattr(Chain, "_new_native", network)
    return made


def train(network: nn.Module, topology: str, steps: int = 12) -> list[float]:
    """Losses, the topology changing twice."""
    torch.manual_seed(0)
    timing = {} if topology == "static" else {"update_interval": 5, "drop_fraction": 0.3, "schedule": "constant"}
    controller = sparsify(network, sparsity=0.6, topology=topology, topology_kwargs=timing, seed=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    controller.attach(optimizer)
    x, target = torch.randn(11, 9), torch.randn(11, 2)
    losses = []
    for _ in range(steps):
        loss = (network(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("topology", ["static", "set", "rigl"])
def test_training_is_what_it_is_on_the_processor(
    topology: str, emulated: list[CudaNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, 14), nn.Tanh(), nn.Linear(14, 2))
    other = copy.deepcopy(network)
    found = train(network, topology)
    assert emulated
    monkeypatch.undo()
    assert found == pytest.approx(train(other, topology), rel=1e-4)
    assert found[-1] < found[0]


def test_the_input_has_its_gradient(emulated: list[CudaNetwork], monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
    sparsify(network, sparsity=0.5)
    x = torch.randn(3, 5, requires_grad=True)
    for parameter in network.parameters():
        parameter.requires_grad_(False)  # an actor's way through a critic
    (found,) = torch.autograd.grad(network(x).sum(), x)
    assert emulated
    monkeypatch.undo()
    (expected,) = torch.autograd.grad(copy.deepcopy(network)(x).sum(), x)
    torch.testing.assert_close(found, expected)
