from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sb3_helpers import DoubleFlatten, Still, build, fill, train
from stable_baselines3 import DDPG, SAC, TD3

from sparse_agents.nn import SparseLinear, SparseSequential, sparse_layers
from sparse_agents.policies import SparseTD3Policy

OFTEN = {"update_interval": 5, "drop_fraction": 0.3}
KINDS = pytest.mark.parametrize("kind", [TD3, SAC, DDPG])
RULES = pytest.mark.parametrize("rule", ["static", "set", "rigl"])


def kwargs(rule: str = "set", **more: object) -> dict[str, object]:
    return {"net_arch": [32, 32], "sparsity": 0.8, "topology": rule, "topology_kwargs": OFTEN, **more}


@KINDS
def test_sparsity_zero_is_the_dense_agent(kind: type) -> None:
    """100 gradient steps in float64 on the same samples: the same parameters."""
    extractor = {"net_arch": [32, 32], "features_extractor_class": DoubleFlatten}
    dense = build(kind, "MlpPolicy", policy_kwargs=extractor)
    sparse = build(kind, policy_kwargs={**extractor, "sparsity": 0.0})
    dense.policy.double()
    sparse.policy.double()
    train(dense, 100)
    train(sparse, 100)
    expected = dense.policy.state_dict()
    compared = 0
    for name, value in sparse.policy.state_dict().items():
        if name in expected:
            assert (value.view(-1) - expected[name].view(-1)).abs().max() < 1e-9, name
            compared += 1
    assert compared == len(expected)


@KINDS
@RULES
def test_trains_rewires_and_stays_exactly_as_sparse(kind: type, rule: str) -> None:
    model = build(kind, policy_kwargs=kwargs(rule))
    before = {name: layer.topology.edges for name, layer in sparse_layers(model.policy).items()}
    train(model, 22)
    changed = 0
    for name, layer in sparse_layers(model.policy).items():
        edges = layer.topology.edges
        assert edges.nnz == before[name].nnz == len(layer.weight)
        assert torch.isfinite(layer.weight).all()
        changed += not edges.same_as(before[name])
    assert (changed > 0) == (rule != "static")


@KINDS
def test_targets_share_the_topology(kind: type) -> None:
    model = build(kind, policy_kwargs=kwargs())
    train(model, 12)
    critics = zip(sparse_layers(model.critic).values(), sparse_layers(model.critic_target).values(), strict=True)
    for online, target in critics:
        assert online.topology is target.topology
        assert online.weight is not target.weight


def test_target_equals_online_under_hard_updates() -> None:
    model = build(TD3, tau=1.0, policy_delay=1, policy_kwargs=kwargs())
    train(model, 22)
    for online, target in ((model.actor, model.actor_target), (model.critic, model.critic_target)):
        for a, b in zip(online.parameters(), target.parameters(), strict=True):
            assert torch.equal(a, b)


def test_whole_network_operation_is_reached() -> None:
    model = build(TD3, policy_kwargs=kwargs())
    assert type(model.policy.actor.mu) is SparseSequential
    assert all(type(q) is SparseSequential for q in model.critic.q_networks)
    assert model.critic.q_networks[0] is model.critic.qf0


def test_initial_weights_are_the_dense_ones_scaled() -> None:
    dense = build(TD3, "MlpPolicy", policy_kwargs={"net_arch": [32, 32]})
    inherited = build(TD3, policy_kwargs=kwargs(weight_init="inherit"))
    scaled = build(TD3, policy_kwargs=kwargs(weight_init="scaled"))
    for name, layer in sparse_layers(inherited.policy).items():
        original = dense.policy.get_submodule(name).weight
        edges = layer.topology.edges
        assert torch.equal(layer.weight, original[edges.row, edges.col.long()])
        twin = scaled.policy.get_submodule(name)
        assert torch.allclose(twin.weight, layer.weight / edges.density**0.5)


@KINDS
def test_save_and_load_are_exact_and_go_on_alike(kind: type, tmp_path: Path) -> None:
    model = build(kind, policy_kwargs=kwargs())
    train(model, 12)
    model.save(tmp_path / "model")
    loaded = kind.load(tmp_path / "model", env=Still())
    observations = np.random.default_rng(0).standard_normal((7, 11))
    assert np.array_equal(
        model.predict(observations, deterministic=True)[0], loaded.predict(observations, deterministic=True)[0]
    )
    fill(loaded)
    train(model, 12, seed=2)
    train(loaded, 12, seed=2)
    expected = model.policy.state_dict()
    for name, value in loaded.policy.state_dict().items():
        if torch.is_tensor(value):
            assert torch.equal(value, expected[name]), name


def test_load_in_a_process_that_never_imported_the_package(tmp_path: Path) -> None:
    model = build(TD3, policy_kwargs=kwargs())
    model.save(tmp_path / "model")
    program = (
        "import sys; from stable_baselines3 import TD3; assert 'sparse_agents' not in sys.modules; "
        f"m = TD3.load({str(tmp_path / 'model')!r}); print(type(m.policy).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "SparseTD3Policy"


def test_policy_alone_saves_and_loads(tmp_path: Path) -> None:
    model = build(SAC, policy_kwargs=kwargs(dense_output=True))
    train(model, 12)
    model.policy.save(tmp_path / "policy")
    loaded = type(model.policy).load(tmp_path / "policy")
    observations = np.random.default_rng(0).standard_normal((7, 11))
    assert np.array_equal(
        model.policy.predict(observations, deterministic=True)[0], loaded.predict(observations, deterministic=True)[0]
    )


def test_deepcopy_is_independent() -> None:
    model = build(TD3, policy_kwargs=kwargs())
    twin = copy.deepcopy(model.policy)
    train(model, 12)
    layer, other = model.policy.get_submodule("actor.mu.2"), twin.get_submodule("actor.mu.2")
    assert not layer.topology.edges.same_as(other.topology.edges)
    assert twin.critic_target.qf0[0].topology is twin.critic.qf0[0].topology
    assert twin.topology_controllers["actor"].steps == 0


@pytest.mark.parametrize(("dense_output", "outputs_sparse"), [(True, False), (False, True)])
def test_sparsity_counts_heads(dense_output: bool, outputs_sparse: bool) -> None:
    """Per network, over its weight matrices, dense heads counted."""
    model = build(SAC, policy_kwargs=kwargs(dense_output=dense_output, sparsity={"actor": 0.7, "critic": 0.5}))
    assert isinstance(model.actor.mu, SparseLinear) == outputs_sparse
    for member, sparsity in ((model.actor, 0.7), (model.critic.qf0, 0.5), (model.critic.qf1, 0.5)):
        present = dense = 0
        for layer in member.modules():
            if isinstance(layer, SparseLinear):
                present, dense = present + layer.topology.nnz, dense + layer.topology.edges.size
            elif isinstance(layer, torch.nn.Linear):
                present, dense = present + layer.weight.numel(), dense + layer.weight.numel()
        assert present == round((1 - sparsity) * dense)


def test_excluded_layers_stay_dense_and_are_not_counted() -> None:
    model = build(TD3, policy_kwargs=kwargs(exclude=["*.0"], distribution="uniform"))
    assert type(model.policy.actor.mu[0]) is torch.nn.Linear
    rest = [model.policy.actor.mu[2], model.policy.actor.mu[4]]
    assert sum(layer.topology.nnz for layer in rest) == round(0.2 * (32 * 32 + 32 * 3))


def test_names_of_layers_are_those_within_the_policy() -> None:
    model = build(TD3, policy_kwargs=kwargs(exclude=["actor.mu.0", "critic.qf1.*"]))
    assert type(model.policy.actor.mu[0]) is torch.nn.Linear
    assert isinstance(model.policy.critic.qf0[0], SparseLinear)
    assert not any(isinstance(layer, SparseLinear) for layer in model.policy.critic.qf1.modules())


@pytest.mark.parametrize(
    ("option", "value"),
    [("exclude", ["critic.*", "aktor.*"]), ("distribution", {"aktor.*": 0.5, "*": 0.8}), ("exclude", ["mu.0"])],
)
def test_a_pattern_that_fits_no_layer_is_a_mistake(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"Unknown layer in {option} '(aktor\.\*|mu\.0)'.*Available: actor.mu.0, "):
        build(TD3, policy_kwargs=kwargs(**{option: value}))


def test_rigl_grows_where_the_dense_critic_gradient_is_largest() -> None:
    """TD3's actor loss also sends gradients through the critic; they must not count."""
    model = build(TD3, policy_kwargs=kwargs("rigl", topology_kwargs={"update_interval": 4, "drop_fraction": 0.3}))
    seen = {}
    controller = model.policy.topology_controllers["critic"]
    original = controller.rule.grow

    def grow(layer: object, survivors: torch.Tensor, count: int) -> torch.Tensor:
        tiles = torch.cat([tile for _, tile in layer.probe.tiles()])  # type: ignore[attr-defined]
        seen[layer.name] = (tiles.flatten()[layer.edges.ids], controller.layers[layer.name].weight.grad.clone())  # type: ignore[attr-defined]
        return original(layer, survivors, count)

    controller.rule.grow = grow
    train(model, 8)
    assert len(seen) >= 2
    for at_connections, gradient in seen.values():
        assert torch.allclose(at_connections, gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.2}, r"sparsity=1.2 is not in \[0, 1\)"),
        ({"sparsity": -0.1}, r"sparsity=-0.1 is not in \[0, 1\)"),
        ({"sparsity": {"actor": 0.5}}, "not 'critic'"),
        ({"sparsity": {"actr": 0.5, "critic": 0.5}}, "Did you mean 'actor'"),
        ({"topology": "sett"}, "Did you mean 'set'"),
        ({"distribution": "erkk"}, "Did you mean 'erk'"),
        ({"weight_init": "scale"}, "Did you mean 'scaled'"),
        ({"topology_kwargs": {"update_interval": 0}}, "update_interval=0"),
        ({"topology_kwargs": {"drop_fraction": 1.5}}, "drop_fraction=1.5"),
        ({"topology_kwargs": {"schedule": "cosine"}}, "`end`"),
        ({"topology_kwargs": {"intervall": 3}}, "intervall"),
        ({"sparsity": 0.999, "dense_output": True}, "dense layers"),
        ({"dense_output": "no"}, "dense_output='no' is neither"),
        ({"share_topology": 0}, "share_topology=0 is neither"),
        ({"include": "actor*"}, r"include='actor\*' is one name: give a list"),
        ({"sparsityy": 0.5}, "Unknown option 'sparsityy'. Did you mean 'sparsity'"),
        ({"topology_kwargs": [1]}, "is not a dictionary"),
        ({"sparsity": 0.9999, "distribution": "uniform"}, "would keep no connection"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(TD3, policy_kwargs={"net_arch": [16, 16], **options})


def test_plain_alias_needs_no_options() -> None:
    model = TD3("SparseMlpPolicy", Still(), buffer_size=10)
    assert isinstance(model.policy, SparseTD3Policy)
    present = sum(layer.topology.nnz for layer in sparse_layers(model.actor).values())
    assert present == round(0.1 * (11 * 400 + 400 * 300 + 300 * 3))


def test_fused_adam_unless_the_user_chose() -> None:
    assert build(TD3, policy_kwargs=kwargs()).actor.optimizer.param_groups[0]["fused"]
    chosen = build(TD3, policy_kwargs=kwargs(optimizer_kwargs={"fused": False}))
    assert chosen.actor.optimizer.param_groups[0]["fused"] is False
    other = build(TD3, policy_kwargs=kwargs(optimizer_class=torch.optim.SGD))
    assert not other.actor.optimizer.param_groups[0].get("fused")


def test_actor_share_divides_one_budget() -> None:
    """34 : 66 of what 80% leaves of an actor and two critics, to the connections that rounding moves."""
    model = build(TD3, policy_kwargs=kwargs("static", actor_share=0.34))
    parts = model.policy.parts()
    present = {n: sum(part.weights()[0] for part in parts if part.network == n) for n in ("actor", "critic")}
    dense = sum(part.weights()[1] for part in parts)
    total = sum(present.values())
    assert abs(total - 0.2 * dense) <= 3
    assert abs(present["actor"] - 0.34 * total) <= 3


def test_an_actor_that_is_full_leaves_the_rest_to_its_critics() -> None:
    model = build(TD3, policy_kwargs=kwargs("static", sparsity=0.1, actor_share=0.5))
    (actor,) = (part for part in model.policy.parts() if part.network == "actor")
    assert actor.weights()[0] == actor.weights()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"actor_share": 1.2}, r"actor_share=1\.2"),
        ({"actor_share": 0.3, "sparsity": {"actor": 0.9, "critic": 0.9}}, "what one sparsity leaves"),
        ({"actor_share": 0.01, "sparsity": 0.05}, "more connections than they can have"),
    ],
)
def test_shares_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(TD3, policy_kwargs=kwargs("static", **options))


def test_sparsities_by_layer_name() -> None:
    sparsities = {"actor.mu.0": 0.5, "actor.*": 0.75, "critic.qf1.*": 0.9, "*": 0.8}
    model = build(TD3, policy_kwargs=kwargs("static", distribution=sparsities))
    found = {
        name: layer.sparsity
        for controller in model.policy.topology_controllers.values()
        for name, layer in controller.layers.items()
    }
    assert found["actor.mu.0"] == pytest.approx(0.5, abs=0.01)
    assert found["actor.mu.2"] == pytest.approx(0.75, abs=0.01)
    assert found["critic.qf0.2"] == pytest.approx(0.8, abs=0.01)
    assert found["critic.qf1.2"] == pytest.approx(0.9, abs=0.01)


def test_itop_sets_long_intervals() -> None:
    for rule, interval in (("set", 1500), ("rigl", 4000)):
        model = build(TD3, policy_kwargs={**kwargs(rule), "topology_kwargs": {"schedule": "itop", "end": 10_000}})
        schedule = model.policy.topology_controllers["critic"].schedule
        assert (schedule.update_interval, schedule.drop_fraction, schedule.schedule) == (interval, 0.5, "constant")
        assert schedule.end == 10_000


def test_rules_that_change_the_number_of_connections_have_an_end() -> None:
    model = build(TD3, policy_kwargs={"topology": "gmp"})
    assert model.policy.topology_controllers["actor"].schedule.end == 100_000
    assert build(TD3, policy_kwargs={"topology": "rlx2"}).policy.topology_controllers["actor"].schedule.end is None
