"""Matrices filled in compute what connections compute, and the table says when."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from sb3_helpers import DoubleFlatten, build, train
from stable_baselines3 import SAC, TD3
from torch import nn

from sparse_agents import sparsify
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import (
    CROSSOVER,
    SparseLinear,
    SparseSequential,
    backends,
    fastest,
    kernels_on,
    sparse_layers,
    use_backend,
)
from sparse_agents.policies import base as policies


def network(backend: str) -> nn.Sequential:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(9, 20), nn.ReLU(), nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    sparsify(module, sparsity=0.6, backend=backend, seed=0)
    return module


def test_values_gradients_and_dense_gradients_agree() -> None:
    csr, masked = network("csr"), network("masked")
    x = torch.randn(7, 9, dtype=torch.float64, requires_grad=True)
    other = x.detach().clone().requires_grad_()
    for module, data in ((csr, x), (masked, other)):
        for layer in sparse_layers(module).values():
            layer.probe.arm(layer.weight)
        module(data).square().sum().backward()
    assert torch.allclose(x.grad, other.grad, atol=1e-12)
    for a, b in zip(sparse_layers(csr).values(), sparse_layers(masked).values(), strict=True):
        assert torch.allclose(a.weight.grad, b.weight.grad, atol=1e-12)
        tiles = [torch.cat([tile for _first, tile in layer.probe.tiles()]) for layer in (a, b)]
        assert torch.allclose(tiles[0], tiles[1], atol=1e-12)


@pytest.mark.parametrize("rule", ["set", "rigl", "topkast"])
@pytest.mark.parametrize("kind", [TD3, SAC])
def test_the_same_trajectory_in_float64(kind: type, rule: str) -> None:
    models: list[Any] = []
    for backend in ("csr", "masked"):
        kwargs = {
            "net_arch": [32, 32],
            "sparsity": 0.7,
            "backend": backend,
            "topology": rule,
            "topology_kwargs": {"update_interval": 5, "drop_fraction": 0.3},
            "features_extractor_class": DoubleFlatten,
        }
        model = build(kind, policy_kwargs=kwargs)
        model.policy.double()
        assert set(model.policy.backends().values()) == {backend}
        train(model, 100)
        models.append(model)
    first, second = (sparse_layers(model.policy) for model in models)
    for name, layer in first.items():
        assert layer.topology.edges.same_as(second[name].topology.edges)
        assert (layer.weight - second[name].weight).abs().max() < 1e-9


def test_a_graph_of_other_connections_is_refused() -> None:
    module = network("masked")
    y = module(torch.randn(3, 9, dtype=torch.float64)).sum()
    layer = module[0]
    layer.topology.replace(layer.topology.edges.with_active(None))
    with pytest.raises(RuntimeError, match="topology changed between"):
        y.backward()


def test_the_choice_can_change_and_is_saved() -> None:
    module = network("csr")
    twin = copy.deepcopy(module)
    x = torch.randn(5, 9, dtype=torch.float64)
    expected = module(x)
    assert len(module._stretches()[0]) == 1
    use_backend(module, [layer for layer in module if isinstance(layer, SparseLinear)], "masked")
    assert isinstance(module, SparseSequential)
    assert len(module._stretches()[0]) == 5
    assert torch.allclose(module(x), expected, atol=1e-12)
    twin.load_state_dict(module.state_dict())
    assert [layer.backend for layer in sparse_layers(twin).values()] == ["masked"] * 3
    assert len(twin._stretches()[0]) == 5


def test_auto_looks_into_the_table() -> None:
    assert fastest([(256, 256, 6554)], 256, "avx512") == "csr"
    assert fastest([(2048, 2048, 2048 * 1024)], 256, "avx512") == "masked"
    assert fastest([(2048, 2048, 2048 * 1024)], 32, "avx512") == "csr"
    assert fastest([(2048, 2048, 2048 * 1024), (2048, 2048, 1000)], 256, "avx512") == "csr", "of the network together"
    assert fastest([(1000, 1000, 300_000)], 256, "baseline") == "masked"
    assert fastest([(10, 10, 5)], 256, "no kernels") == "masked"
    assert fastest([(10_000, 10_000, 5)], 256, "no kernels") == "csr", "a matrix as large is not filled in"
    for by_batch in CROSSOVER.values():
        for by_width in by_batch.values():
            assert all(0 < density < 1 for density in by_width.values())


def test_auto_chooses_anew_on_a_device_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network at 50% has 37,000 connections, which a block of an H200 goes through; without kernels it is dense."""
    monkeypatch.setattr(policies, "kernels_on", lambda device: "baseline" if device.type == "cpu" else "cuda")
    kwargs = {"net_arch": [256, 256], "sparsity": 0.5, "topology": "static"}
    models = [build(TD3, policy_kwargs={**kwargs, "backend": backend}) for backend in ("auto", "masked")]
    assert [set(model.policy.backends().values()) for model in models] == [{"masked"}, {"masked"}]
    for model in models:
        model.policy.to(torch.float64)
        model.policy.to("meta")
    assert [set(model.policy.backends().values()) for model in models] == [{"csr"}, {"masked"}]


def test_kernels_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels_on(torch.device("cpu")) in {*CROSSOVER, None}
    for launcher, expected in ((None, None), (object(), "cuda")):
        monkeypatch.setattr(backends, "launcher_for", lambda device, launcher=launcher: launcher)
        assert kernels_on(torch.device("cuda")) == expected


def test_auto_counts_the_connections_of_the_end() -> None:
    """GMP begins dense, and is sparse for most of its life."""
    dense = build(TD3, policy_kwargs={"net_arch": [16], "sparsity": 0.0, "topology": "static"})
    pruned = build(TD3, policy_kwargs={"net_arch": [16], "sparsity": 0.9, "topology": "gmp"})
    assert set(dense.policy.backends().values()) == {"masked"}
    assert pruned.policy.backends()["actor.mu.0"] != "masked"


def test_unknown_backends_are_named() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'masked'"):
        build(TD3, policy_kwargs={"backend": "maskd"})
    with pytest.raises(ConfigurationError, match="Did you mean 'csr'"):
        network("cs")
