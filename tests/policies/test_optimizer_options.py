"""Weight decay and learning rates of sparse networks, by default."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from sb3_contrib import TQC, CrossQ
from sb3_helpers import build, decays, scales, train
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from sparse_agents import densify, sparsify_agent
from sparse_agents.errors import ConfigurationError
from sparse_agents.policies.layouts import OffPolicyActorCritic

DEFAULT = OffPolicyActorCritic.defaults[0.0].weight_decay


def root(model: BaseAlgorithm, name: str) -> float:
    """Of one over the density, which differs from what was asked for by less than a connection a layer."""
    counts = [part.weights() for part in model.policy.parts() if part.optimizer == name]
    return float((sum(dense for _, dense in counts) / sum(present for present, _ in counts)) ** 0.5)


@pytest.mark.parametrize("kind", [TD3, DDPG])
def test_networks_that_are_sparse_decay(kind: type) -> None:
    assert DEFAULT == 1e-3
    assert decays(build(kind)) == {"actor": DEFAULT, "critic": DEFAULT}


@pytest.mark.parametrize("kind", [SAC, TQC, CrossQ])
def test_actors_alone_where_entropy_is_kept(kind: type) -> None:
    assert decays(build(kind)) == {"actor": DEFAULT, "critic": 0}
    assert decays(build(kind, policy_kwargs={"optimizer_kwargs": {}})) == {"actor": 0, "critic": 0}
    assert decays(build(kind, policy_kwargs={"weight_decay": 0.1})) == {"actor": 0.1, "critic": 0.1}


def test_dense_networks_do_not() -> None:
    assert decays(build(TD3, policy_kwargs={"sparsity": {"actor": 0.5, "critic": 0.0}})) == {
        "actor": DEFAULT, "critic": 0
    }  # fmt: skip


def test_algorithms_it_was_not_studied_for_do_not() -> None:
    env = "CartPole-v1"
    assert set(decays(PPO("SparseMlpPolicy", env)).values()) == {0}
    assert set(decays(DQN("SparseMlpPolicy", env, buffer_size=10)).values()) == {0}


def test_what_the_user_says_of_the_optimizer_holds() -> None:
    said = {"weight_decay": 0.5}
    assert decays(build(TD3, policy_kwargs={"optimizer_kwargs": {}})) == {"actor": 0, "critic": 0}
    assert decays(build(TD3, policy_kwargs={"optimizer_kwargs": said})) == {"actor": 0.5, "critic": 0.5}
    own = torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"]
    assert decays(build(TD3, policy_kwargs={"optimizer_class": torch.optim.AdamW})) == {"actor": own, "critic": own}


def test_it_is_said_by_network() -> None:
    model = build(TD3, policy_kwargs={"weight_decay": {"actor": 0.2, "critic": 0}})
    assert decays(model) == {"actor": 0.2, "critic": 0}
    assert decays(build(TD3, policy_kwargs={"weight_decay": 0.1})) == {"actor": 0.1, "critic": 0.1}
    both = {"weight_decay": 0.1, "optimizer_kwargs": {"eps": 1e-4}}
    assert decays(build(TD3, policy_kwargs=both)) == {"actor": 0.1, "critic": 0.1}
    dense = {"weight_decay": 0.1, "sparsity": {"actor": 0.5, "critic": 0.0}}
    assert decays(build(TD3, policy_kwargs=dense)) == {"actor": 0.1, "critic": 0}
    assert decays(sparsify_agent(build(TD3, "MlpPolicy"), sparsity=0.5, weight_decay=0.3)) == {
        "actor": 0.3, "critic": 0.3
    }  # fmt: skip


@pytest.mark.parametrize("value", [-1, 1.0, True, "much"])
def test_what_is_no_decay_is_named(value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"weight_decay={value!r}"):
        build(TD3, policy_kwargs={"weight_decay": value})


def test_optimizers_without_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"weight_decay=0.1: Rprop has none"):
        build(TD3, policy_kwargs={"weight_decay": 0.1, "optimizer_class": torch.optim.Rprop})
    with pytest.raises(ConfigurationError, match=r"Give every network a value"):
        build(TD3, policy_kwargs={"weight_decay": {"actor": 0.1}})


def test_crossq_keeps_its_betas() -> None:
    assert build(CrossQ).actor.optimizer.param_groups[0]["betas"] == (0.5, 0.999)


def test_a_dense_agent_made_sparse_keeps_its_optimizers() -> None:
    model = sparsify_agent(build(TD3, "MlpPolicy"), sparsity=0.5)
    assert decays(model) == {"actor": 0, "critic": 0}


def test_a_dense_twin_trains_on_alike() -> None:
    dense = densify(build(TD3))
    assert dense.actor.optimizer.param_groups[0]["weight_decay"] == DEFAULT


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    model = build(TD3, policy_kwargs={"sparsity": {"actor": 0.5, "critic": 0.0}})
    model.save(tmp_path / "agent")
    assert decays(TD3.load(tmp_path / "agent")) == decays(model)
    model.policy.save(tmp_path / "policy.pt")
    policy = type(model.policy).load(tmp_path / "policy.pt")
    assert policy.actor.optimizer.param_groups[0]["weight_decay"] == DEFAULT
    assert policy.critic.optimizer.param_groups[0]["weight_decay"] == 0


def test_it_is_that_of_adam() -> None:
    """The same as saying it."""
    default = build(TD3, policy_kwargs={"net_arch": [8]})
    said = build(TD3, policy_kwargs={"net_arch": [8], "optimizer_kwargs": {"weight_decay": DEFAULT}})
    begin = copy.deepcopy(default.policy)
    for model in (default, said):
        train(model, 5)
    pairs = zip(default.policy.parameters(), said.policy.parameters(), begin.parameters(), strict=True)
    for ours, theirs, before in pairs:
        assert torch.equal(ours, theirs)
        assert not torch.equal(ours, before)


@pytest.mark.parametrize("kind", [SAC, TQC])
@pytest.mark.parametrize(("sparsity", "factor"), [(0.9, 3.162), (0.75, 2.0), (0.5, 1.414)])
def test_small_steps_grow_with_sparsity(kind: type, sparsity: float, factor: float) -> None:
    model = build(kind, policy_kwargs={"sparsity": sparsity})
    assert scales(model) == {name: pytest.approx(root(model, name)) for name in ("actor", "critic")}
    assert scales(model)["critic"] == pytest.approx(factor, rel=0.02)
    assert scales(build(kind, policy_kwargs={"sparsity": sparsity, "optimizer_kwargs": {}})) == {
        "actor": 1,
        "critic": 1,
    }


@pytest.mark.parametrize("kind", [TD3, DDPG, CrossQ])
def test_others_do_not(kind: type) -> None:
    assert scales(build(kind)) == {"actor": 1, "critic": 1}


def test_the_scale_is_said_by_network() -> None:
    assert scales(build(TD3, policy_kwargs={"learning_rate_scale": {"actor": 2, "critic": 1}})) == {
        "actor": 2, "critic": 1
    }  # fmt: skip
    model = build(TD3, policy_kwargs={"learning_rate_scale": {"actor": 0.5, "critic": "auto"}, "optimizer_kwargs": {}})
    assert scales(model) == {"actor": 0.5, "critic": pytest.approx(root(model, "critic"))}
    assert scales(build(SAC, policy_kwargs={"learning_rate_scale": 1})) == {"actor": 1, "critic": 1}
    assert scales(build(SAC, policy_kwargs={"sparsity": {"actor": 0.0, "critic": 0.9}}))["actor"] == 1
    assert scales(sparsify_agent(build(SAC, "MlpPolicy"), sparsity=0.5)) == {"actor": 1, "critic": 1}
    assert scales(sparsify_agent(build(SAC, "MlpPolicy"), sparsity=0.5, learning_rate_scale=2)) == {
        "actor": 2, "critic": 2
    }  # fmt: skip
    ppo = PPO("SparseMlpPolicy", "CartPole-v1", policy_kwargs={"learning_rate_scale": 3.0})
    assert scales(ppo) == {"policy": 3}


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "much"])
def test_what_is_no_scale_is_named(value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"learning_rate_scale={value!r}: a number above 0, or 'auto'"):
        build(SAC, policy_kwargs={"learning_rate_scale": value})


def test_the_scale_is_saved_and_loaded(tmp_path: Path) -> None:
    model = build(SAC, policy_kwargs={"sparsity": 0.5})
    model.save(tmp_path / "agent")
    assert scales(SAC.load(tmp_path / "agent")) == scales(model)


@pytest.mark.parametrize("kind", [TD3, SAC])
def test_a_scale_is_as_good_as_a_learning_rate(kind: type) -> None:
    """But for that of the entropy coefficient, which is none of the policy's."""
    fixed = {"ent_coef": 0.1} if kind is SAC else {}
    scaled = build(kind, learning_rate=1e-3, policy_kwargs={"net_arch": [8], "learning_rate_scale": 4.0}, **fixed)
    given = build(kind, learning_rate=4e-3, policy_kwargs={"net_arch": [8], "learning_rate_scale": 1.0}, **fixed)
    for model in (scaled, given):
        train(model, 5)
        assert model.actor.optimizer.param_groups[0]["lr"] == model.learning_rate
    for ours, theirs in zip(scaled.policy.parameters(), given.policy.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
