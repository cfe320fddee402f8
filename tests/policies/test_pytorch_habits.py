"""What people do with any PyTorch module."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from samples import agent
from stable_baselines3 import PPO, SAC, TD3

from sparse_agents.nn import sparse_layers


def observations() -> torch.Tensor:
    return torch.randn(5, 7, generator=torch.Generator().manual_seed(0))


def act(policy: Any) -> torch.Tensor:
    with torch.no_grad():
        action: torch.Tensor = policy._predict(observations(), deterministic=True)
    return action


@pytest.mark.parametrize("kind", [TD3, SAC, PPO])
@pytest.mark.parametrize("how", [copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))])
def test_copies_are_independent_and_rewire_on(kind: type, how: Any) -> None:
    model = agent(kind, "SparseMlpPolicy", sparsity=0.6, topology_kwargs={"update_interval": 3, "drop_fraction": 0.3})
    model.learn(40)
    expected = act(model.policy)  # and PPO's distribution lets go of the last minibatch's graph, which has no copies
    twin = how(model.policy)
    assert torch.equal(act(twin), expected)
    edges = {name: layer.topology.edges for name, layer in sparse_layers(model.policy).items()}
    model.policy = twin
    model.policy.set_training_mode(True)
    optimizers = [o for o in twin.optimizers().values() if o is not None]
    for _ in range(6):
        for optimizer in optimizers:
            optimizer.zero_grad()
        act_with_gradient = sum(p.square().sum() for p in twin.parameters() if p.requires_grad)
        act_with_gradient.backward()
        for optimizer in optimizers:
            optimizer.step()
    changed = [not layer.topology.edges.same_as(edges[name]) for name, layer in sparse_layers(twin).items()]
    assert any(changed)


@pytest.mark.parametrize("kind", [TD3, SAC, PPO])
def test_compiled_policies_act_alike(kind: type) -> None:
    """As a whole."""
    for backend in ("csr", "masked"):
        torch._dynamo.reset()
        policy = agent(kind, "SparseMlpPolicy", sparsity=0.6, backend=backend).policy
        network = policy.mlp_extractor.policy_net if kind is PPO else policy.actor
        whole = torch.compile(network, backend="eager", fullgraph=True)
        with torch.no_grad():
            torch.manual_seed(0)
            first = network(observations())
            torch.manual_seed(0)
            assert torch.equal(whole(observations()), first)
    torch._dynamo.reset()
    policy = agent(kind, "SparseMlpPolicy", sparsity=0.6, backend="csr").policy
    expected = act(policy)
    compiled = torch.compile(policy._predict, backend="eager")
    with torch.no_grad():
        assert torch.equal(compiled(observations(), deterministic=True), expected)


def test_state_dicts_move_between_policies_and_types() -> None:
    first = agent(TD3, "SparseMlpPolicy", sparsity=0.6, seed=0).policy
    second = agent(TD3, "SparseMlpPolicy", sparsity=0.8, seed=1).policy
    second.load_state_dict(first.state_dict())
    assert torch.equal(act(second), act(first))
    third = copy.deepcopy(first).to(torch.float64).to(torch.float32)
    assert torch.equal(act(third), act(first))
    assert first.to("cpu") is first
