"""LayerNorm that a policy is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sb3_helpers import Noise
from stable_baselines3 import PPO, SAC, TD3
from torch import nn
from torch.nn import functional

from sparse_agents import densify
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import Normalised, SparseLinear


def built(kind: Any = TD3, **policy: Any) -> Any:
    policy = {"net_arch": [16, 12], "sparsity": 0.5, **policy}
    given = {} if kind is PPO else {"buffer_size": 10}
    return kind("SparseMlpPolicy", Noise(), policy_kwargs=policy, device="cpu", seed=0, **given)


def by_hand(network: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """As paper and torch have it, on full matrices."""
    linear = [module.to_dense() for module in network if isinstance(module, SparseLinear)]
    for layer in linear[:-1]:
        x = functional.linear(x, layer.weight, layer.bias)
        x = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
        x = torch.relu(x)
    return functional.linear(x, linear[-1].weight, linear[-1].bias)


@pytest.mark.parametrize("kind", [TD3, SAC])
@pytest.mark.parametrize("backend", ["csr", "masked"])
def test_critics_and_their_targets_are_normalised_and_the_actor_is_not(kind: Any, backend: str) -> None:
    policy = built(kind, layer_norm=["critic"], backend=backend).policy
    x = torch.randn(7, policy.critic.qf0[0].in_features)
    for critic in (policy.critic.qf0, policy.critic.qf1, policy.critic_target.qf0, policy.critic_target.qf1):
        torch.testing.assert_close(critic(x), by_hand(critic, x))
    assert not any(isinstance(module, Normalised) for module in policy.actor.modules())


def test_one_sample_is_one_of_many() -> None:
    actor = built(layer_norm=["actor"]).actor.mu
    x = torch.randn(9, actor[0].in_features)
    torch.testing.assert_close(torch.cat([actor(one[None]) for one in x]), actor(x))


def test_on_policy_networks() -> None:
    extractor = built(PPO, net_arch={"pi": [8], "vf": [8]}, layer_norm=["critic"]).policy.mlp_extractor
    assert isinstance(extractor.value_net[1], Normalised)
    assert not isinstance(extractor.policy_net[1], Normalised)


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    model = built(layer_norm=["critic"])
    model.save(tmp_path / "agent")
    loaded = TD3.load(tmp_path / "agent", device="cpu")
    x = torch.randn(5, model.critic.qf0[0].in_features)
    assert torch.equal(loaded.critic.qf0(x), model.critic.qf0(x))


def test_its_state_has_the_names_that_it_has_without() -> None:
    assert built(layer_norm=["actor", "critic"]).policy.state_dict().keys() == built().policy.state_dict().keys()


def test_a_hook_on_the_norm_alone_is_called() -> None:
    critic = built(layer_norm=["critic"]).critic.qf0
    seen: list[torch.Tensor] = []
    handle = critic[1][0].register_forward_hook(lambda _, __, output: seen.append(output))
    critic(torch.randn(6, critic[0].in_features))
    assert len(seen) == 1
    torch.testing.assert_close(seen[0].mean(1), torch.zeros(6), atol=1e-5, rtol=0)
    handle.remove()


def test_there_is_no_plain_agent_like_it() -> None:
    with pytest.raises(ConfigurationError, match=r"TD3Policy has no LayerNorm"):
        densify(built(layer_norm=["critic"]))


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown network in layer_norm 'critics'. Did you mean 'critic'"):
        built(layer_norm=["critics"])
    with pytest.raises(ConfigurationError, match=r"layer_norm='critic' is one name: give a list"):
        built(layer_norm="critic")
