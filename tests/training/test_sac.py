"""SAC trained natively is SAC trained by Stable-Baselines3, on the same minibatches and noise."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from twins import POLICY, REWIRING, agents, assert_copies_train_alike, assert_native, difference, seed, train_both

from sparse_agents import DSSAC
from sparse_agents.training.optimizers import steps_natively

SLOWER = [("rigl", "auto"), ("static", "auto"), ("set", 0.2), ("rigl", 0.2)]


@pytest.mark.parametrize(
    ("rule", "ent_coef"),
    [("set", "auto"), ("static", 0.2), *(pytest.param(*c, marks=pytest.mark.slow) for c in SLOWER)],
)
def test_a_thousand_updates_with_rewiring(rule: str, ent_coef: Any, any_extractor: None) -> None:
    policy = {"topology": rule, "topology_kwargs": {} if rule == "static" else REWIRING}
    native, plain = agents(DSSAC, double=True, policy=policy, ent_coef=ent_coef, target_copy_interval=30)
    before = native.critic.qf0[0].topology.edges
    train_both(native, plain, 1000, per_call=10)
    assert_native(native)
    assert native._n_updates == plain._n_updates == 1000
    assert native.critic.qf0[0].topology.edges.same_as(before) == (rule == "static")
    assert difference(native, plain) < 1e-9


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("ent_coef", ["auto_0.1", 0.5])
def test_one_update_at_a_time_in_float32(n_envs: int, ent_coef: Any) -> None:
    native, plain = agents(DSSAC, n_envs=n_envs, policy={"topology_kwargs": REWIRING}, ent_coef=ent_coef, gamma=0.9)
    for update in range(30):
        plain.set_parameters(copy.deepcopy(native.get_parameters()))
        if native.log_ent_coef is not None:
            plain.log_ent_coef.data.copy_(native.log_ent_coef)
        train_both(native, plain, 1)
        assert difference(native, plain) < 5e-6, update
    assert_native(native)


@pytest.mark.parametrize(
    "policy",
    [
        {"optimizer_kwargs": {"weight_decay": 0.1}},
        {"learning_rate_scale": {"actor": 0.5, "critic": "auto"}},
        {"activation_fn": torch.nn.Tanh},
        {"net_arch": {"pi": [8], "qf": [30, 20, 10]}, "n_critics": 3, "dense_output": False},
        {"dense_output": True},
        {"dense_output": False},
        {"sparsity": {"actor": 0.5, "critic": 0.8}},
        {"backend": "masked"},
        {"sparsity": {"actor": 0.6, "critic": 0.0}},
        {"layer_norm": ["critic"]},
        {"layer_norm": ["actor", "critic"], "activation_fn": torch.nn.Tanh},
        {"layer_norm": ["actor", "critic"], "backend": "masked"},
    ],
    ids=[
        "decay",
        "scaled learning rate",
        "tanh",
        "three critics of other sizes",
        "dense outputs",
        "sparse outputs",
        "by network",
        "dense matrices",
        "sparse actor, dense critics",
        "normalised critics",
        "all normalised",
        "all normalised, dense matrices",
    ],
)
def test_settings_are_honoured(policy: dict[str, Any], any_extractor: None) -> None:
    native, plain = agents(DSSAC, double=True, policy={**policy, "topology_kwargs": REWIRING}, ent_coef="auto")
    train_both(native, plain, 40)
    assert_native(native)
    assert difference(native, plain) < 1e-10


def test_standard_deviations_at_their_bounds_get_no_gradient(any_extractor: None) -> None:
    """torch's clamp passes gradients inside its bounds and on them, not beyond. With a standard deviation of e⁻²⁰ torch
    itself loses half its digits in action - mean."""
    native, plain = agents(DSSAC, double=True, policy={"topology": "static"})
    for model in (native, plain):
        model.actor.log_std.bias.data = torch.tensor([-25.0, 3.0, 0.0], dtype=torch.float64)
    train_both(native, plain, 20)
    assert difference(native, plain) < 1e-8


def test_losses_and_counts_are_logged_as_ever(any_extractor: None) -> None:
    native, plain = agents(DSSAC, double=True, policy={"topology": "static"}, ent_coef="auto")
    for model in (native, plain):
        seed(0)
        model.train(4, 32)
    train_both(native, plain, 6, per_call=6)
    for name in ("critic_loss", "actor_loss", "ent_coef", "ent_coef_loss", "n_updates", "learning_rate"):
        expected = plain.logger.name_to_value[f"train/{name}"]
        assert native.logger.name_to_value[f"train/{name}"] == pytest.approx(expected, rel=1e-6), name


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"use_sde": True}, "gSDE"), ({"policy": {**POLICY, "net_arch": []}}, "actor has no sparse layer")],
)
def test_what_is_not_eligible(settings: dict[str, Any], says: str) -> None:
    model, _ = agents(DSSAC, **settings)
    assert says in model.why_not_native()
    model.train(3, 32)
    assert model._n_updates == 3


def test_changed_optimizers_and_a_replaced_coefficient_are_noticed(any_extractor: None) -> None:
    native, plain = agents(DSSAC, double=True, policy={"topology": "static"}, ent_coef="auto")
    train_both(native, plain, 4)
    for model in (native, plain):
        model.log_ent_coef.data = model.log_ent_coef.data.clone() - 1
        for optimizer in (model.actor.optimizer, model.critic.optimizer):
            optimizer.param_groups[0].update(betas=(0.5, 0.6), weight_decay=0.3, eps=1e-3)
    train_both(native, plain, 4)
    assert_native(native)
    assert difference(native, plain) < 1e-10


@pytest.mark.parametrize("interval", [3, 1000])
def test_copies_of_agents_copy_their_targets(interval: int) -> None:
    """One of their hooks chooses when."""
    model, _ = agents(DSSAC, policy={"topology_kwargs": REWIRING}, target_copy_interval=interval)
    assert_copies_train_alike(model, 40)
    assert_native(model)


def _another_coefficient(model: Any) -> None:
    model.log_ent_coef = torch.full_like(model.log_ent_coef, -2.0).requires_grad_()
    model.ent_coef_optimizer = torch.optim.Adam([model.log_ent_coef], lr=1e-3)


def _less_frequent_targets(model: Any) -> None:
    model.target_update_interval = 3


@pytest.mark.parametrize("change", [_another_coefficient, _less_frequent_targets])
def test_what_is_changed_in_the_middle_is_noticed(change: Any, any_extractor: None) -> None:
    native, plain = agents(DSSAC, double=True, policy={"topology": "static"}, ent_coef="auto")
    train_both(native, plain, 4)
    for model in (native, plain):
        change(model)
    train_both(native, plain, 6, per_call=6)
    assert difference(native, plain) < 1e-10


def test_a_coefficient_of_another_type_never_reaches_the_kernels() -> None:
    model, _ = agents(DSSAC, ent_coef="auto")
    model.log_ent_coef = torch.tensor([-2.0], dtype=torch.float64, requires_grad=True)
    model.ent_coef_optimizer = torch.optim.Adam([model.log_ent_coef], lr=1e-3)
    assert "the entropy coefficient's optimizer has parameters of another type" in model.why_not_native()
    model.train(4, 32)
    assert model.log_ent_coef.dtype == torch.float64


def test_steps_of_another_type_never_reach_the_kernels() -> None:
    model, _ = agents(DSSAC, ent_coef="auto")
    model.train(1, 32)
    assert steps_natively(model.critic.optimizer)
    for state in model.critic.optimizer.state.values():
        state["step"] = state["step"].double()
    assert not steps_natively(model.critic.optimizer)


def test_an_actor_that_is_too_deep_with_its_heads_is_named() -> None:
    model, _ = agents(DSSAC, policy={"net_arch": {"pi": [8] * 64, "qf": [24, 24]}, "sparsity": 0.3})
    assert "actor has 64 layers or more" in model.why_not_native()


@pytest.mark.parametrize("head", ["mu", "log_std"])
def test_hooks_on_the_heads_are_honoured(head: str, any_extractor: None) -> None:
    native, plain = agents(DSSAC, double=True, policy={"topology": "static"})
    train_both(native, plain, 4)
    for model in (native, plain):
        model.actor.get_submodule(head).register_forward_hook(lambda module, x, y: y / 2)
    train_both(native, plain, 4)
    assert difference(native, plain) < 1e-10
    assert "hooks" in native.why_not_native()


def test_a_changed_coefficient_and_target_entropy(any_extractor: None) -> None:
    for ent_coef in (0.2, "auto"):
        native, plain = agents(DSSAC, double=True, policy={"topology": "static"}, ent_coef=ent_coef)
        train_both(native, plain, 4)
        for model in (native, plain):
            model.target_entropy = -20.0
            if ent_coef == 0.2:
                model.ent_coef_tensor = torch.tensor(5.0)
        train_both(native, plain, 4)
        assert_native(native)
        assert difference(native, plain) < 1e-10
