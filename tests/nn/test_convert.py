"""From dense modules to sparse ones and back."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import random_graph, sparse_layer, sparse_network
from torch import Tensor, nn

from sparse_agents import ConfigurationError, SparseLinear, SparseSequential, Topology, densify
from sparse_agents.nn import WEIGHT_INITS, dense_layers, random_topologies, replace_layers, sparse_layers


class Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 16), nn.Tanh())
        self.mean = nn.Linear(16, 2)
        self.heads = nn.ModuleDict({"value": nn.Linear(16, 1, bias=False)})

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        return torch.cat([self.mean(h), self.heads["value"](h)], -1)


def sparse_policy(weight_init: str = "inherit") -> tuple[Policy, Policy, dict[nn.Parameter, nn.Parameter]]:
    """A policy, the same one before its layers were replaced, and the parameters of both."""
    policy, dense = Policy(), Policy()
    dense.load_state_dict(policy.state_dict())
    layers = dense_layers(policy, exclude=["mean"])
    counts = {name: layer.weight.numel() // 3 for name, layer in layers.items()}
    topologies = random_topologies(layers, counts, torch.Generator().manual_seed(0))
    return policy, dense, replace_layers(policy, topologies, weight_init)


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ([], ["body.0", "body.2", "mean", "heads.value"]),
        (["mean"], ["body.0", "body.2", "heads.value"]),
        (["body.*"], ["mean", "heads.value"]),
        (["*.0", "heads.*"], ["body.2", "mean"]),
        (["body.[02]", "m?an"], ["heads.value"]),
        (["MEAN"], ["body.0", "body.2", "mean", "heads.value"]),
        (["*"], []),
    ],
)
def test_linear_layers_but_those_that_match(exclude: list[str], expected: list[str]) -> None:
    policy = Policy()
    layers = dense_layers(policy, exclude)
    assert list(layers) == expected
    assert all(policy.get_submodule(name) is layer for name, layer in layers.items())


def test_linear_layers_are_plain_ones_only() -> None:
    class Noisy(nn.Linear):
        pass

    module = nn.Sequential(Noisy(3, 4), nn.Linear(4, 4), sparse_layer(4, 4), nn.Bilinear(2, 2, 2))
    assert list(dense_layers(module)) == ["1"]
    assert list(sparse_layers(module)) == ["2"]


def test_random_topologies_have_the_connections_asked_for() -> None:
    policy = Policy()
    layers = dense_layers(policy)
    counts = {"body.0": 17, "heads.value": 5}
    first, second = (random_topologies(layers, counts, torch.Generator().manual_seed(4)) for _ in range(2))
    assert {name: t.nnz for name, t in first.items()} == counts
    assert first["body.0"].shape == (20, 6)
    assert all(first[name].edges.same_as(second[name].edges) for name in counts)


def test_replaced_layers_keep_their_names_and_connections() -> None:
    policy, dense, _ = sparse_policy()
    assert list(sparse_layers(policy)) == ["body.0", "body.2", "heads.value"]
    assert type(policy.body) is SparseSequential
    assert type(policy.mean) is nn.Linear
    for name, layer in sparse_layers(policy).items():
        linear = dense.get_submodule(name)
        mask = layer.topology.edges.mask()
        assert torch.equal(layer.to_dense().weight, torch.where(mask, linear.weight, 0))
        if linear.bias is None:
            assert layer.bias is None
        else:
            assert torch.equal(layer.bias, linear.bias)


def test_replaced_policy_computes_what_the_masked_one_does() -> None:
    policy, dense, _ = sparse_policy()
    with torch.no_grad():
        for name, layer in sparse_layers(policy).items():
            dense.get_submodule(name).weight.mul_(layer.topology.edges.mask())
    x = torch.randn(9, 6)
    torch.testing.assert_close(policy(x), dense(x))


def test_every_old_parameter_leads_to_its_new_one() -> None:
    policy = Policy()
    old = dict(policy.named_parameters())
    layers = dense_layers(policy, exclude=["mean"])
    counts = {name: layer.weight.numel() // 3 for name, layer in layers.items()}
    replaced = replace_layers(policy, random_topologies(layers, counts, torch.Generator()))
    new = dict(policy.named_parameters())
    assert {old[name]: new[name] for name in old if not name.startswith("mean")} == replaced


@pytest.mark.parametrize("density", [1 / 3, 0.05])
def test_scaled_weights_keep_the_variance_of_a_units_input(density: float) -> None:
    linear = nn.Linear(300, 400)
    before = linear.weight.detach().clone()
    module = nn.Sequential(linear)
    topology = Topology(random_graph(400, 300, density))
    replace_layers(module, {"0": topology}, "scaled")
    factor = math.sqrt(300 * 400 / topology.nnz)
    torch.testing.assert_close(module[0].weight, before.view(-1)[topology.edges.ids] * factor)
    x = torch.randn(200, 300)
    spread = float((module(x) - linear.bias).detach().std())
    assert spread == pytest.approx(float((x @ before.t()).std()), rel=0.05)


def test_full_layers_are_not_scaled() -> None:
    for init in WEIGHT_INITS.values():
        assert init(20, 30, 600) == 1.0


def test_unknown_weight_init_is_refused_with_the_close_one() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown weight_init 'scale'. Did you mean 'scaled'\?"):
        replace_layers(nn.Sequential(nn.Linear(2, 2)), {}, "scale")


def test_densify_computes_the_same_function_without_sparse_layers() -> None:
    policy, _, _ = sparse_policy()
    dense = densify(policy)
    x = torch.randn(9, 6)
    torch.testing.assert_close(dense(x), policy(x))
    assert sparse_layers(dense) == {}
    assert type(dense.body) is nn.Sequential
    assert set(dense.state_dict()) == set(Policy().state_dict())


def test_densify_leaves_the_original_alone() -> None:
    policy, _, _ = sparse_policy()
    x = torch.randn(9, 6)
    y = policy(x)
    dense = densify(policy)
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.zero_()
    assert torch.equal(policy(x), y)
    assert len(sparse_layers(policy)) == 3


def test_densified_state_loads_into_a_dense_module() -> None:
    policy, _, _ = sparse_policy()
    fresh = Policy()
    fresh.load_state_dict(densify(policy).state_dict())
    x = torch.randn(9, 6)
    torch.testing.assert_close(fresh(x), policy(x))


def test_densify_of_a_sequential_and_its_mode() -> None:
    network = sparse_network([5, 8, 3], ["relu", "tanh"]).eval()
    dense = densify(network)
    x = torch.randn(4, 5, dtype=torch.float64)
    assert type(dense) is nn.Sequential
    assert not any(part.training for part in dense.modules())
    torch.testing.assert_close(dense(x), network(x))


def test_densify_of_a_single_layer() -> None:
    layer = sparse_layer(6, 8)
    dense = densify(layer)
    x = torch.randn(4, 8, dtype=torch.float64)
    assert type(dense) is nn.Linear
    torch.testing.assert_close(dense(x), layer(x))


def test_densify_reaches_a_layer_under_all_its_names() -> None:
    shared = sparse_layer(6, 6)
    network = nn.Sequential(shared, nn.Tanh(), shared)
    dense = densify(network)
    assert not any(isinstance(part, SparseLinear) for part in dense.modules())
    assert dense[0] is dense[2]
    x = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(dense(x), network(x))


def test_replacing_a_layer_used_twice_replaces_both_uses() -> None:
    shared = nn.Linear(6, 6)
    network = nn.Sequential(shared, nn.Tanh(), shared)
    topologies = random_topologies(dense_layers(network), {"0": 12}, torch.Generator())
    replace_layers(network, topologies)
    assert isinstance(network[2], SparseLinear)
    assert network[0] is network[2]


def test_who_watches_a_layer_watches_the_one_in_its_place() -> None:
    """Sparse and dense again; a handle removes the hook from whichever is there."""
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    seen: list[object] = []
    network[0].register_forward_hook(lambda *call: seen.append("out"))
    network[0].register_full_backward_hook(lambda *call: seen.append("back"))
    handle = network[2].register_forward_pre_hook(lambda *call, **options: seen.append("in"), with_kwargs=True)
    before = network(torch.ones(1, 6))
    replace_layers(network, random_topologies(dense_layers(network), {"0": 30, "2": 10}, torch.Generator()))
    x = torch.ones(1, 6, requires_grad=True)
    torch.testing.assert_close(network(x), before)
    network(x).sum().backward()
    assert seen == ["out", "in", "out", "in", "out", "in", "back"]
    seen.clear()
    densify(network)(x)
    assert seen == ["out", "in"]
    handle.remove()
    network(x)
    assert seen == ["out", "in", "out"]
