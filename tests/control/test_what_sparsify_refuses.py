"""Modules and settings that cannot be made sparse: one message, and nothing is changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from sparse_agents.control import sparsify
from sparse_agents.nn import sparse_layers


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def tied() -> nn.Module:
    module = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    module[1].weight = module[0].weight
    return module


def frozen() -> nn.Module:
    module = network()
    module[0].requires_grad_(False)
    return module


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (nn.Linear(8, 8), {}, r"Wrap it: nn.Sequential\(layer\)"),
        (nn.ReLU(), {}, "ReLU has no linear, convolutional or LSTM layer"),
        (tied(), {}, "Layers '0' and '1' share one weight matrix"),
        (frozen(), {}, "Layer '0' is frozen.*exclude="),
        (network(), {"exclude": ["3"]}, "Unknown layer in exclude '3'.*Available: 0, 2"),
        (network(), {"distribution": {"1": 0.5, "*": 0.9}}, "Unknown layer in distribution '1'"),
        (network(), {"sparsity": "0.9"}, "sparsity='0.9' is not a number"),
        (network(), {"topology": nn.ReLU}, "is not a name"),
        (network(), {"topology_kwargs": {"update_interval": 2.5}}, "update_interval=2.5 is not a whole number"),
        (network(), {"topology_kwargs": {"drop_fraction": "x"}}, "drop_fraction='x' is not a number"),
        (network(), {"topology_kwargs": {"end": "x"}}, "end='x' is not a whole number"),
        (network(), {"topology_kwargs": {"block_size": 2.0}}, "block_size=2.0 is not"),
        (network(), {"topology_kwargs": {"schedule": "cosin"}}, "Did you mean 'cosine'.*itop"),
        (network(), {"topology_kwargs": {"update_interval": True}}, "update_interval=True is not a whole number"),
        (network(), {"topology_kwargs": [1]}, r"topology_kwargs=\[1\] is not a dict of options"),
        (network(), {"topology": "static", "topology_kwargs": {"update_interval": -10}}, "update_interval=-10"),
        (network(), {"topology": "snip", "topology_kwargs": {"schedule": "foo"}}, "Unknown schedule 'foo'"),
        (network(), {"topology": "deepr", "topology_kwargs": {"schedule": "itop"}}, "for 'set' and 'rigl'"),
        (network(), {"topology_kwargs": {"update_intervall": 3}}, "Did you mean 'update_interval'"),
        (
            network(),
            {"topology": "rigl"},
            r"anneals towards `end`.*\{'end': ...\}.*schedule='constant'",
        ),
        (network(), {"topology": "gmp"}, r"up to `end`.*topology_kwargs=\{'end': ...\}"),
    ],
)
def test_one_message_that_names_the_mend(module: nn.Module, settings: dict[str, Any], message: str) -> None:
    before = {name: type(child) for name, child in module.named_modules()}
    with pytest.raises(ValueError, match=message):
        sparsify(module, **settings)
    assert {name: type(child) for name, child in module.named_modules()} == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_refused_by_name(dtype: torch.dtype) -> None:
    module = network().to(dtype)
    sparsify(module)
    with pytest.raises(ValueError, match=rf"got {dtype} inputs; it computes in float32 and float64"):
        module(torch.ones(2, 8, dtype=dtype))


def test_gradients_that_no_backward_brought_are_refused_not_dropped() -> None:
    module = network()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    timing = {"update_interval": 1, "schedule": "constant"}
    sparsify(module, topology="rigl", topology_kwargs=timing, optimizer=optimizer)
    parameters = list(module.parameters())
    for parameter, gradient in zip(
        parameters, torch.autograd.grad(module(torch.ones(2, 8)).square().sum(), parameters), strict=True
    ):
        parameter.grad = gradient
    with pytest.raises(ValueError, match=r"RigL needs the dense gradient of layer '0'.*loss.backward\(\)"):
        optimizer.step()


def test_followers_have_the_topology_at_all_times() -> None:
    torch.manual_seed(0)
    module = network()
    target = copy.deepcopy(module)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    sparsify(
        module,
        sparsity=0.5,
        topology_kwargs={"update_interval": 2},
        followers=[target],
        optimizer=optimizer,
    )
    x = torch.randn(32, 8)
    assert torch.equal(module(x), target(x))
    for _ in range(7):
        optimizer.zero_grad()
        (module(x) - x[:, :4]).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            for mine, theirs in zip(module.parameters(), target.parameters(), strict=True):
                theirs.lerp_(mine, 0.5)
    for layer, follower in zip(sparse_layers(module).values(), sparse_layers(target).values(), strict=True):
        assert layer.topology is follower.topology
        assert len(follower.weight) == layer.topology.nnz
    with torch.no_grad():
        for mine, theirs in zip(module.parameters(), target.parameters(), strict=True):
            theirs.copy_(mine)
    assert torch.equal(module(x), target(x))
