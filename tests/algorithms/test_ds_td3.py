from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_helpers import Still, build, fill, train
from stable_baselines3 import TD3
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from sparse_agents import DSTD3
from sparse_agents.algorithms import end_with_the_run
from sparse_agents.algorithms.recipe import FROZEN_FRACTION
from sparse_agents.nn import SparseLinear, sparse_layers

SMALL = {"net_arch": [32, 32], "sparsity": 0.7}
OFTEN = {"update_interval": 4, "drop_fraction": 0.3, "end": 100}


def test_the_papers_recipe_is_the_default() -> None:
    model = DSTD3(env=Still(17, 6), buffer_size=10)
    assert (model.batch_size, model.learning_starts, model.learning_rate) == (100, 25_000, 1e-3)
    assert model.actor.optimizer.param_groups[0]["weight_decay"] == 2e-4
    assert np.allclose(model.action_noise._sigma, 0.1)
    assert type(model.actor.mu[4]) is torch.nn.Linear
    for first, second in ((model.actor.mu[0], model.actor.mu[2]), (model.critic.qf1[0], model.critic.qf1[2])):
        assert first.topology.nnz == 7 * (first.in_features + 256)
        assert second.topology.nnz == 64 * (256 + 256)


def test_published_sparsity_of_half_cheetah() -> None:
    """50.6% over actor and both critics, heads counted (Sokar et al. 2022, table 1)."""
    model = DSTD3(env=Still(17, 6), buffer_size=10)
    present = dense = 0
    for network in (model.actor, model.critic):
        for layer in network.modules():
            if isinstance(layer, SparseLinear):
                present, dense = present + layer.topology.nnz, dense + layer.topology.edges.size
            elif isinstance(layer, torch.nn.Linear):
                present, dense = present + layer.weight.numel(), dense + layer.weight.numel()
    assert dense == 214_784
    assert 1 - present / dense == pytest.approx(0.506, abs=0.003)


def test_a_sparsity_scales_both_lambdas() -> None:
    model = DSTD3(env=Still(17, 6), buffer_size=10, policy_kwargs={"sparsity": 0.9})
    first, second = model.actor.mu[0].topology.nnz, model.actor.mu[2].topology.nnz
    assert first + second + 6 * 256 == round(0.1 * (17 * 256 + 256 * 256 + 6 * 256))
    assert first / second == pytest.approx(7 * 273 / (64 * 512), rel=0.01)


def test_updates_fall_where_the_reference_has_them() -> None:
    """In a long run. Critic at iterations 2, 1002 ...; the actor with it, at its own steps 1, 501 ..."""
    model = build(DSTD3, batch_size=8, policy_kwargs={"net_arch": [16, 16], "sparsity": 0.7})
    end_with_the_run(model, 1_000_000, FROZEN_FRACTION)
    critic, actor = (model.policy.topology_controllers[n].schedule for n in ("critic", "actor"))
    assert [s for s in range(1, 3000) if critic.due(s)] == [2, 1002, 2002]
    assert [s for s in range(1, 1500) if actor.due(s)] == [1, 501, 1001]


@pytest.mark.parametrize(
    ("topology", "options", "intervals", "fraction", "first"),
    [
        ("set", {}, (500, 1000), 0.05, 2),
        ("rigl", {}, (500, 1000), 0.05, 2),
        ("set", {"update_interval": 300}, (300, 300), 0.05, 300),
        ("set", {"drop_fraction": 0.2}, (500, 1000), 0.2, 2),
        ("set", {"schedule": "itop"}, (1500, 1500), 0.5, 1500),
        ("rigl", {"schedule": "itop", "drop_fraction": 0.3}, (4000, 4000), 0.3, 4000),
        ("rlx2", {}, (10_000, 10_000), 0.5, 10_000),
        ("deepr", {}, (1, 1), 1.0, 1),
    ],
)
def test_the_recipes_pace_is_for_rules_without_their_own(
    topology: str, options: dict[str, object], intervals: tuple[int, int], fraction: float, first: int
) -> None:
    policy = {"net_arch": [16, 16], "sparsity": 0.7, "topology": topology, "topology_kwargs": options}
    model = build(DSTD3, batch_size=8, policy_kwargs=policy)
    end_with_the_run(model, 1_000_000, FROZEN_FRACTION)
    actor, critic = (model.policy.topology_controllers[n].schedule for n in ("actor", "critic"))
    assert (actor.update_interval, critic.update_interval) == intervals
    assert actor.drop_fraction == critic.drop_fraction == fraction
    assert critic.first == first
    assert (actor.end, critic.end) == (462_500, 925_000)


def test_an_end_of_ones_own_is_kept() -> None:
    policy = {"net_arch": [16, 16], "sparsity": 0.7, "topology_kwargs": {"end": 77}}
    model = build(DSTD3, batch_size=8, policy_kwargs=policy)
    end_with_the_run(model, 1_000_000, FROZEN_FRACTION)
    assert model.policy.topology_controllers["critic"].schedule.end == 77


def test_topology_freezes_for_the_last_stretch() -> None:
    """At 1M steps: 1M - 25k - 50k critic steps, half as many of the actor's."""
    model = DSTD3(env=Still(), buffer_size=10)
    end_with_the_run(model, 1_000_000, FROZEN_FRACTION)
    controllers = model.policy.topology_controllers
    assert controllers["critic"].schedule.end == 925_000
    assert controllers["actor"].schedule.end == 462_500


def test_capped_targets_keep_their_own_connections() -> None:
    model = build(DSTD3, target_topology="capped", policy_kwargs={**SMALL, "topology_kwargs": OFTEN})
    train(model, 40)
    differ = 0
    for online, target in zip(
        sparse_layers(model.critic).values(), sparse_layers(model.critic_target).values(), strict=True
    ):
        assert online.topology is not target.topology
        assert online.topology.nnz == target.topology.nnz == len(target.weight)
        differ += not online.topology.edges.same_as(target.topology.edges)
    assert differ > 0
    assert model.tau == 0.005


def test_capped_equals_shared_while_the_topology_stands_still() -> None:
    common = {"net_arch": [16, 16], "sparsity": 0.6, "topology": "static"}
    shared = build(DSTD3, target_topology="shared", policy_kwargs=common)
    capped = build(DSTD3, target_topology="capped", policy_kwargs=common)
    train(shared, 20)
    train(capped, 20)
    for a, b in zip(shared.policy.parameters(), capped.policy.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("target_topology", ["shared", "capped"])
def test_save_load_and_go_on(target_topology: str, tmp_path: Path) -> None:
    model = build(DSTD3, target_topology=target_topology, policy_kwargs={**SMALL, "topology_kwargs": OFTEN})
    train(model, 12)
    model.save(tmp_path / "model")
    loaded = DSTD3.load(tmp_path / "model", env=Still())
    assert loaded.target_topology == target_topology
    fill(loaded)
    train(model, 12, seed=3)
    train(loaded, 12, seed=3)
    for a, b in zip(model.policy.parameters(), loaded.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_annealed_drop_fraction_needs_no_end() -> None:
    """The algorithm knows the length of the run, so cosine needs no ``end``."""
    model = DSTD3(
        env=Still(), buffer_size=500, learning_starts=20, batch_size=8,
        policy_kwargs={"net_arch": [16, 16], "sparsity": 0.6, "topology_kwargs": {
            "schedule": "cosine", "update_interval": 10}})  # fmt: skip
    model.learn(120)
    assert model.policy.topology_controllers["critic"].schedule.end == 94


def test_unknown_target_topology() -> None:
    with pytest.raises(ValueError, match="Did you mean 'capped'"):
        DSTD3(env=Still(), target_topology="caped")


def test_the_robust_recipe_is_td3_with_the_sparse_policys_defaults() -> None:
    robust = DSTD3(env=Still(17, 6), buffer_size=10, recipe="robust")
    plain = TD3("SparseMlpPolicy", Still(17, 6), buffer_size=10, policy_kwargs={"net_arch": [256, 256]})
    assert (robust.batch_size, robust.learning_starts, robust.learning_rate) == (256, 10_000, 1e-3)
    for name in ("batch_size", "learning_rate", "tau", "gamma", "policy_delay", "gradient_steps", "train_freq"):
        assert getattr(robust, name) == getattr(plain, name)
    ours, default = robust.policy.sparse_options(), plain.policy.sparse_options()
    assert {**ours, "topology_defaults": {}} == default
    for name, controller in plain.policy.topology_controllers.items():
        other = robust.policy.topology_controllers[name]
        assert {n: layer.topology.nnz for n, layer in other.layers.items()} == {
            n: layer.topology.nnz for n, layer in controller.layers.items()
        }
        assert other.schedule.update_interval == controller.schedule.update_interval
        assert other.schedule.drop_fraction == controller.schedule.drop_fraction
        decay = getattr(plain, name).optimizer.param_groups[0]["weight_decay"]
        assert getattr(robust, name).optimizer.param_groups[0]["weight_decay"] == decay > 0


def test_what_is_given_goes_before_the_recipe() -> None:
    model = DSTD3(env=Still(), buffer_size=10, recipe="robust", batch_size=7, policy_kwargs={"net_arch": [16]})
    assert (model.batch_size, model.learning_starts) == (7, 10_000)
    assert model.actor.mu[0].out_features == 16
    with pytest.raises(ValueError, match="Did you mean 'robust'"):
        DSTD3(env=Still(), recipe="robus")


def test_is_td3_and_refuses_nothing_td3_takes() -> None:
    model = DSTD3("MlpPolicy", Still(), buffer_size=10, gamma=0.9, n_steps=3, policy_delay=4, verbose=0)
    assert isinstance(model, TD3)
    assert model.policy.topology_controllers["actor"].schedule.update_interval == 250


def test_learns_pendulum() -> None:
    """8000 steps at 80% sparsity: random policies return about -1200; seeds 0 to 3 here reached -110 to -255."""
    policy = {"sparsity": 0.8, "net_arch": [128, 128], "topology_kwargs": {"update_interval": 200}}
    model = DSTD3(env="Pendulum-v1", seed=0, learning_starts=500, policy_kwargs=policy)
    first = model.policy.topology_controllers["critic"].layers["critic.qf0.2"].topology.edges
    model.learn(8000)
    mean, _ = evaluate_policy(model, Monitor(gym.make("Pendulum-v1")), n_eval_episodes=10)
    assert mean > -600
    assert not model.policy.topology_controllers["critic"].layers["critic.qf0.2"].topology.edges.same_as(first)
