"""Norms of gradients around an update of the topology."""

from __future__ import annotations

import pytest
import torch
from twins import REWIRING, agents, train_both

from sparse_agents import DSTD3, sparsify


@pytest.mark.parametrize("topology", ["set", "rigl"])
def test_norms_at_the_update_and_after_it(topology: str) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    controller = sparsify(
        network,
        sparsity=0.5,
        topology=topology,
        topology_kwargs={"update_interval": 3, "drop_fraction": 0.5, "schedule": "constant"},
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    controller.attach(optimizer)
    seen: list[dict[str, float]] = []
    for step in range(1, 9):
        optimizer.zero_grad()
        network(torch.randn(5, 6)).square().sum().backward()
        seen.append({n: float(layer.weight.grad.square().sum().sqrt()) for n, layer in controller.layers.items()})
        optimizer.step()
        flow = controller.gradient_flow
        if step < 3:
            assert (flow.before, flow.after) == ({}, {})
        elif step % 3 == 0:
            assert (flow.before, flow.after) == (pytest.approx(seen[-1]), {})
        else:  # of the first step that followed, also when others have
            assert flow.before == pytest.approx(seen[step // 3 * 3 - 1])
            assert flow.after == pytest.approx(seen[step // 3 * 3])


@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
def test_native_steps_are_looked_at_too(double: bool) -> None:
    """As Stable-Baselines3's are, before the actor's loss has left gradients on critics."""
    native, plain = agents(DSTD3, double=double, policy={"topology_kwargs": REWIRING})
    train_both(native, plain, 22)
    for name, controller in plain.policy.topology_controllers.items():
        flow, other = controller.gradient_flow, native.policy.topology_controllers[name].gradient_flow
        assert set(flow.before) == set(flow.after) == set(controller.layers)
        for when in ("before", "after"):
            assert getattr(other, when) == pytest.approx(getattr(flow, when), rel=1e-9 if double else 1e-3)
