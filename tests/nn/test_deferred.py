"""Networks whose dense matrices are never made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sb3_helpers import Still, fill, train
from stable_baselines3 import PPO, SAC, TD3
from torch import nn

from sparse_agents import DSTD3, deferred_matrices, sparsify
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import deferred, is_deferred, sparse_layers

WIDE = 40_000  # squared, 6 GiB


def test_sparsify_makes_connections_alone() -> None:
    torch.manual_seed(0)
    with deferred_matrices():
        network = nn.Sequential(nn.Linear(30, WIDE), nn.ReLU(), nn.Linear(WIDE, WIDE), nn.ReLU(), nn.Linear(WIDE, 2))
    assert [is_deferred(layer) for layer in network if isinstance(layer, nn.Linear)] == [False, True, False]
    sparsify(network, sparsity=0.9999, distribution="uniform", weight_init="inherit", seed=0)
    layer = sparse_layers(network)["2"]
    assert layer.weight.numel() == round(1e-4 * WIDE * WIDE)
    bound = 1 / WIDE**0.5
    weight = layer.weight.detach()
    assert float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.01)
    network(torch.randn(3, 30)).square().sum().backward()
    assert bool((layer.weight.grad != 0).any())


def test_small_layers_are_what_they_always_were() -> None:
    torch.manual_seed(0)
    expected = nn.Linear(2, 3)
    torch.manual_seed(0)
    with deferred_matrices():
        found = nn.Linear(2, 3)
    assert torch.equal(expected.weight, found.weight)
    assert torch.equal(expected.bias, found.bias)


def test_what_stays_dense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "LARGEST", 10)
    with deferred_matrices():
        network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4))
    with pytest.raises(ConfigurationError, match=r"1\.weight is \(4, 5\), too large for a dense layer"):
        sparsify(network, sparsity=0.5, exclude=["1"])


@pytest.mark.parametrize("kind", [DSTD3, TD3, SAC, PPO])
def test_agents_of_any_width(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a matrix of a thousand weights were too large: sizes, scales and targets are as ever."""
    monkeypatch.setattr(deferred, "LARGEST", 1000)
    settings: dict[str, Any] = {"batch_size": 32, **({"n_steps": 32} if kind is PPO else {"buffer_size": 1000})}
    policy = {"net_arch": [64, 64], "sparsity": 0.8, "distribution": "uniform", "weight_init": "scaled"}
    model = kind("SparseMlpPolicy", Still(), seed=0, device="cpu", policy_kwargs=policy, **settings)
    for part in model.policy.parts():
        present, dense = part.weights()
        assert present == pytest.approx(0.2 * dense, abs=2)
    for name, layer in sparse_layers(model.policy).items():
        assert not layer.weight.is_meta
        if kind is not PPO and layer.topology.shape == (64, 64):
            assert float(layer.weight.detach().std()) == pytest.approx((5 / 64 / 3) ** 0.5, rel=0.15), name
    if kind is not PPO:
        for a, b in zip(model.critic.parameters(), model.critic_target.parameters(), strict=True):
            assert torch.equal(a, b)
        fill(model)
        train(model, 3)
    again = kind("SparseMlpPolicy", Still(), seed=0, device="cpu", policy_kwargs=policy, **settings)
    again.set_parameters(model.get_parameters())
    observation = np.ones(11)
    assert np.array_equal(
        model.predict(observation, deterministic=True)[0], again.predict(observation, deterministic=True)[0]
    )


@pytest.mark.parametrize(
    "options", [{"initial_topology": "magnitude"}, {"distribution": "lamp"}, {"topology": "topkast"}]
)
def test_what_looks_at_dense_weights_says_so(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "LARGEST", 1000)
    with pytest.raises(ConfigurationError, match="chosen by the weights of a dense layer"):
        TD3(
            "SparseMlpPolicy", Still(), buffer_size=10, policy_kwargs={"net_arch": [64, 64], "sparsity": 0.8, **options}
        )
    with deferred_matrices():
        network = nn.Sequential(nn.Linear(64, 64))
    with pytest.raises(ConfigurationError, match="chosen by the weights of a dense layer"):
        sparsify(network, sparsity=0.8, **options)


def test_weights_that_would_be_lost_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = nn.Linear(64, 64)
    monkeypatch.setattr(deferred, "LARGEST", 1000)
    with deferred_matrices(), torch.no_grad():
        layer = nn.Linear(64, 64)
        with pytest.raises(ConfigurationError, match="Weights are copied into a layer of shape"):
            layer.weight.copy_(trained.weight)
        with pytest.warns(UserWarning, match="no-op"), pytest.raises(RuntimeError, match="Weights are copied into"):
            layer.load_state_dict(trained.state_dict())


def test_an_agent_no_dense_one_could_be() -> None:
    """Two hidden layers of 40,000 units in each of six networks: 38 GiB of dense weights alone."""
    kwargs = {"net_arch": [WIDE, WIDE], "sparsity": 0.9999, "distribution": "uniform"}
    model = DSTD3("SparseMlpPolicy", Still(), buffer_size=100, batch_size=8, seed=0, policy_kwargs=kwargs)
    fill(model, 50)
    train(model, 4)
    assert model.predict(np.zeros(11))[0].shape == (3,)
