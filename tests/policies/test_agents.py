"""Trained agents made sparse, and dense again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samples import agent, environment, in_the_fast_suite, observations_of
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from sparse_agents import DSTD3, densify, sparsify_agent
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import dense_layers, sparse_layers, unrolled
from sparse_agents.policies import ALIASES, SparsePolicyMixin

POLICIES = [(algorithm, alias) for algorithm, aliases in ALIASES.items() for alias in aliases]
EVERY_POLICY = pytest.mark.parametrize(
    ("algorithm", "alias"),
    [
        pytest.param(*p, id=f"{p[0].__name__}-{p[1]}", marks=[] if in_the_fast_suite(*p) else [pytest.mark.slow])
        for p in POLICIES
    ],
)


def predictions(model: BaseAlgorithm, alias: str) -> np.ndarray:
    space = observations_of(alias)
    space.seed(3)
    return np.stack([model.predict(space.sample(), deterministic=True)[0] for _ in range(8)])


def moments(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return [optimizer.state[p]["exp_avg"] for p in parameters if p in optimizer.state]


@EVERY_POLICY
def test_dense_again_it_is_the_plain_class_and_acts_alike(algorithm: type, alias: str, tmp_path: Path) -> None:
    model = agent(algorithm, alias, sparsity=0.7)
    model.learn(40)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    plain = densify(model)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert type(plain) is algorithm
    assert type(plain.policy) is algorithm.policy_aliases[alias.removeprefix("Sparse")]
    assert not sparse_layers(plain.policy)
    assert np.allclose(predictions(plain, alias), predictions(model, alias), atol=1e-5)
    assert plain.num_timesteps == model.num_timesteps
    plain.save(tmp_path / "plain")
    loaded = algorithm.load(tmp_path / "plain", env=environment(algorithm, alias), device="cpu")
    assert np.array_equal(predictions(loaded, alias), predictions(plain, alias))
    plain.learn(40, reset_num_timesteps=False)
    assert isinstance(model.policy, SparsePolicyMixin)


@EVERY_POLICY
def test_a_trained_agent_keeps_its_largest_weights(algorithm: type, alias: str, tmp_path: Path) -> None:
    model = agent(algorithm, alias.removeprefix("Sparse"))
    model.learn(40)
    with unrolled(model.policy):
        layers = dense_layers(model.policy)
    before = {name: layer.weight.detach().clone().flatten(1) for name, layer in layers.items()}
    assert sparsify_agent(model, sparsity=0.5, distribution="uniform") is model
    assert type(model.policy) is ALIASES[algorithm][alias]
    for part in model.policy.parts():
        for name, layer in part.layers().items():
            edges, dense = layer.topology.edges, before[name]
            assert torch.equal(edges.dense(layer.weight.detach()), dense * edges.mask())
            outside = dense[~edges.mask()]
            assert len(outside) == 0 or layer.weight.abs().min() >= outside.abs().max()
    actions = predictions(model, alias)
    model.save(tmp_path / "sparse")
    loaded = algorithm.load(tmp_path / "sparse", env=environment(algorithm, alias), device="cpu")
    assert np.array_equal(predictions(loaded, alias), actions)
    for one in (loaded, model):
        one.learn(40, reset_num_timesteps=False)


def test_moments_go_there_and_back() -> None:
    model = agent(SAC, "MlpPolicy")
    model.learn(40)
    dense = [m.clone() for m in moments(model.critic.optimizer)]
    sparsify_agent(model, sparsity=0.6)
    layers = {layer.weight.data_ptr(): layer for layer in sparse_layers(model.policy).values()}
    parameters = [p for group in model.critic.optimizer.param_groups for p in group["params"]]
    sparse = moments(model.critic.optimizer)
    back = moments(densify(model).critic.optimizer)
    compared = 0
    for parameter, first, second, third in zip(parameters, dense, sparse, back, strict=True):
        layer = layers.get(parameter.data_ptr())
        if layer is None:
            assert torch.equal(first, second)
            assert torch.equal(first, third)
            continue
        mask = layer.topology.edges.mask()
        assert torch.equal(second, first[mask])
        assert torch.equal(third, first * mask)
        compared += 1
    assert compared == 6


def test_a_sparsified_agent_trains_on_from_where_it_was() -> None:
    """At sparsity 0 the next steps are those of the agent that stayed dense."""
    twins: list[Any] = []
    for convert in (False, True):
        model = agent(TD3, "MlpPolicy", optimizer_kwargs={"fused": True})
        model.learn(40)
        if convert:
            sparsify_agent(model, sparsity=0.0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        model.train(5, 8)
        twins.append(model)
    for a, b in zip(twins[0].policy.parameters(), twins[1].policy.parameters(), strict=True):
        assert torch.allclose(a.flatten(), b, atol=1e-5)


def test_dense_twins_of_recipes_are_plain_agents() -> None:
    model = DSTD3(env=environment(TD3, "SparseMlpPolicy"), learning_starts=10, buffer_size=100, device="cpu")
    model.learn(20)
    plain = densify(model)
    assert type(plain) is TD3
    assert plain.replay_buffer is model.replay_buffer
    assert np.allclose(predictions(plain, "MlpPolicy"), predictions(model, "MlpPolicy"), atol=1e-5)


def test_a_policy_without_counterpart_is_named_and_bad_options_change_nothing() -> None:
    model = agent(TD3, "MlpPolicy")
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    for options, message in (
        ({"sparsty": 0.5}, "sparsity"),
        ({"sparsity": 1.5}, "not in"),
        ({"topology": "st"}, "set"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            sparsify_agent(model, **options)
        assert type(model.policy) is TD3.policy_aliases["MlpPolicy"]
        assert all(torch.equal(value, before[name]) for name, value in model.policy.state_dict().items())
    with pytest.raises(ConfigurationError, match="not a sparse policy"):
        densify(model)
    sparsify_agent(model)
    with pytest.raises(ConfigurationError, match="SparseTD3Policy is sparse already"):
        sparsify_agent(model)
