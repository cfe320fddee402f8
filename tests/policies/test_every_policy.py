"""Every policy of every algorithm, under rules of every kind: trains, rewires, stays as sparse, saves and loads."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import agent, environment, in_the_fast_suite, observations_of
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from sparse_agents.nn import SparseConv2d, dense_layers, sparse_layers, unrolled
from sparse_agents.policies import ALIASES, CLASSES, SparsePolicyMixin
from sparse_agents.runs import CheckpointEvery, Continue, KeepsState, checkpoint

POLICIES = [(algorithm, alias) for algorithm, aliases in ALIASES.items() for alias in aliases]
IDS = [f"{algorithm.__name__}-{alias}" for algorithm, alias in POLICIES]
WITH_TARGETS = [
    (algorithm, alias)
    for algorithm, alias in POLICIES
    if alias == "SparseMlpPolicy" and algorithm.__name__ in ("TD3", "DDPG", "SAC", "DQN", "TQC", "QRDQN")
]
OFTEN = {"update_interval": 6, "drop_fraction": 0.3}
STEPS = 70


def bypasses(algorithm: type[BaseAlgorithm], alias: str) -> bool:
    return bool(ALIASES[algorithm][alias].bypasses_optimizer)


def cases() -> list[Any]:
    """Dynamic rules only where there is an optimizer to listen to. Images in the fast suite with one rule."""
    found = []
    for (algorithm, alias), name in zip(POLICIES, IDS, strict=True):
        for rule in ("static", "set", "rigl"):
            if rule != "static" and bypasses(algorithm, alias):
                continue
            often = in_the_fast_suite(algorithm, alias) and ("Mlp" in alias or rule == "rigl")
            found.append(
                pytest.param(algorithm, alias, rule, id=f"{name}-{rule}", marks=[] if often else [pytest.mark.slow])
            )
    return found


def build(algorithm: type[BaseAlgorithm], alias: str, rule: str, **options: Any) -> Any:
    timing = {} if rule == "static" else OFTEN
    return agent(algorithm, alias, topology=rule, topology_kwargs=timing, sparsity=0.6, **options)


def predictions(model: BaseAlgorithm, alias: str) -> np.ndarray:
    space = copy.deepcopy(observations_of(alias))
    space.seed(3)
    return np.stack([model.predict(space.sample(), deterministic=True)[0] for _ in range(5)])


def tensors(model: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.policy.state_dict().items() if torch.is_tensor(value)}


@pytest.mark.parametrize(("algorithm", "alias", "rule"), cases())
def test_conformance(algorithm: type[BaseAlgorithm], alias: str, rule: str, tmp_path: Path) -> None:
    model = build(algorithm, alias, rule)
    assert isinstance(model.policy, SparsePolicyMixin)
    layers = sparse_layers(model.policy)
    assert any(isinstance(layer, SparseConv2d) for layer in layers.values()) == ("Cnn" in alias or "Multi" in alias)
    assert not dense_layers(model.policy)
    assert not any(type(module) is nn.LSTM for module in model.policy.modules())
    before = {name: layer.topology.edges for name, layer in layers.items()}
    first = {name: layer.weight.detach().clone() for name, layer in layers.items()}

    model.learn(STEPS)
    for part in model.policy.parts():
        present, dense = part.weights()
        assert present == round(0.4 * dense)
    changed = trained = 0
    for name, layer in layers.items():
        edges = layer.topology.edges
        assert edges.nnz == before[name].nnz == len(layer.weight)
        assert torch.isfinite(layer.weight).all()
        changed += not edges.same_as(before[name])
        trained += not torch.equal(layer.weight, first[name])
    assert trained == len(layers), "a layer was not trained"
    full = sum(edges.density == 1 for edges in before.values())
    assert changed == (0 if rule == "static" else len(layers) - full)

    model.save(tmp_path / "agent")
    loaded = algorithm.load(tmp_path / "agent", env=environment(algorithm, alias), device="cpu")
    assert np.array_equal(predictions(model, alias), predictions(loaded, alias))
    expected = tensors(model)
    assert all(torch.equal(value, expected[name]) for name, value in tensors(loaded).items())
    loaded.learn(STEPS, reset_num_timesteps=False)
    assert sum(layer.topology.nnz for layer in sparse_layers(loaded.policy).values()) == sum(
        layer.topology.nnz for layer in layers.values()
    )

    other = build(algorithm, alias, rule, seed=5)
    other.set_parameters(model.get_parameters())
    assert np.array_equal(predictions(model, alias), predictions(other, alias))

    if alias == "SparseLinearPolicy":
        return  # sb3-contrib's own does not load alone: it passes itself an argument it does not take
    model.policy.save(tmp_path / "policy")
    alone = type(model.policy).load(tmp_path / "policy", device="cpu")
    assert all(torch.equal(value, expected[name]) for name, value in alone.state_dict().items() if name in expected)


def resumable() -> list[Any]:
    """ARS draws its candidates before anybody can put the generators back."""
    return [
        pytest.param(algorithm, alias, id=name, marks=[] if "Mlp" in alias else [pytest.mark.slow])
        for (algorithm, alias), name in zip(POLICIES, IDS, strict=True)
        if algorithm.__name__ != "ARS"
    ]


@pytest.mark.parametrize(("algorithm", "alias"), resumable())
def test_resumes_bit_for_bit(algorithm: type[BaseAlgorithm], alias: str, tmp_path: Path) -> None:
    rule = "static" if bypasses(algorithm, alias) else "rigl"

    def kept() -> DummyVecEnv:
        return DummyVecEnv([lambda: KeepsState(environment(algorithm, alias))])

    model = build(algorithm, alias, rule)
    model.set_env(kept())
    model.learn(STEPS, callback=CheckpointEvery(tmp_path, STEPS // 2))
    expected = {**tensors(model), "draw": torch.rand(1)}
    first, *later = sorted(tmp_path.glob("step_*"), key=lambda path: int(path.name.removeprefix("step_")))
    assert later
    resumed, state = checkpoint.load(first, algorithm, kept())
    assert resumed.num_timesteps < model.num_timesteps
    resumed.learn(STEPS - resumed.num_timesteps, callback=Continue(state, []), reset_num_timesteps=False)
    found = {**tensors(resumed), "draw": torch.rand(1)}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize(("algorithm", "alias"), POLICIES, ids=IDS)
def test_sparsity_zero_is_the_dense_policy(algorithm: type[BaseAlgorithm], alias: str) -> None:
    """The same initial weights, the same actions."""
    sparse = agent(algorithm, alias, sparsity=0.0)
    dense = agent(algorithm, alias.removeprefix("Sparse"))
    with unrolled(dense.policy):
        expected = dense.policy.state_dict()
    for name, value in expected.items():
        assert torch.equal(value.flatten(), sparse.policy.state_dict()[name].flatten()), name
    assert np.allclose(predictions(sparse, alias), predictions(dense, alias), atol=1e-5)


@pytest.mark.parametrize(("algorithm", "alias"), POLICIES, ids=IDS)
def test_plain_alias_needs_no_options(algorithm: type[BaseAlgorithm], alias: str) -> None:
    model = agent(algorithm, alias)
    assert (
        0.85
        < 1 - sum(p.weights()[0] for p in model.policy.parts()) / sum(p.weights()[1] for p in model.policy.parts())
        <= 0.91
    )


@pytest.mark.parametrize(
    ("algorithm", "alias"),
    [p for p in POLICIES if bypasses(*p)],
    ids=[f"{p[0].__name__}-{p[1]}" for p in POLICIES if bypasses(*p)],
)
def test_dynamic_rules_need_an_optimizer(algorithm: type[BaseAlgorithm], alias: str) -> None:
    with pytest.raises(ValueError, match=r"topology='set' acts at optimizer steps.*use topology='static'"):
        agent(algorithm, alias, topology="set")


def test_every_alias_is_registered_and_every_class_has_a_public_name() -> None:
    import sparse_agents.policies as public

    for algorithm, aliases in ALIASES.items():
        for alias, kind in aliases.items():
            assert algorithm.policy_aliases[alias] is kind
            assert algorithm.policy_aliases[alias.removeprefix("Sparse")] in kind.__mro__
    assert len(CLASSES) == len(POLICIES)
    for name, kind in CLASSES.items():
        assert getattr(public, name) is kind
        assert name in dir(public)


@pytest.mark.parametrize(
    ("algorithm", "alias"), WITH_TARGETS, ids=[algorithm.__name__ for algorithm, _ in WITH_TARGETS]
)
def test_targets_equal_the_online_network_under_hard_updates(algorithm: type[BaseAlgorithm], alias: str) -> None:
    model = build(algorithm, alias, "set")
    model.tau, model.target_update_interval, model.policy_delay = 1.0, 1, 1
    model.learn(STEPS)
    model._on_step()  # where DQN and QRDQN update theirs
    for online, target in model.policy.targets().items():
        first, second = model.policy.get_submodule(online), model.policy.get_submodule(target)
        for a, b in zip(sparse_layers(first).values(), sparse_layers(second).values(), strict=True):
            assert a.topology is b.topology
            assert torch.equal(a.weight, b.weight)
            assert a.weight is not b.weight
