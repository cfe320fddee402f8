"""The recipe of DS-SAC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sb3_helpers import Still, fill, train
from stable_baselines3 import SAC

from sparse_agents import DSSAC
from sparse_agents.errors import ConfigurationError


def build(**kwargs: Any) -> DSSAC:
    model = DSSAC(env=Still(), buffer_size=1000, seed=0, device="cpu", **kwargs)
    fill(model)
    return model


def test_the_papers_settings_are_the_defaults() -> None:
    model = DSSAC(env=Still(observations=17, actions=6), buffer_size=10, device="cpu")
    assert (model.batch_size, model.ent_coef, model.target_copy_interval) == (256, 0.2, 1000)
    assert model.actor.optimizer.param_groups[0]["lr"] == 3e-4
    assert model.actor.optimizer.param_groups[0]["weight_decay"] == 0
    first, second = model.actor.latent_pi[0], model.actor.latent_pi[2]
    assert first.topology.nnz == (12 * (17 + 256))
    assert second.topology.nnz == (80 * (256 + 256))
    assert type(model.actor.mu) is torch.nn.Linear
    for controller in model.policy.topology_controllers.values():
        assert (controller.schedule.update_interval, controller.schedule.drop_fraction) == (1000, 0.1)


def targets_equal(model: DSSAC) -> bool:
    pairs = zip(model.critic.parameters(), model.critic_target.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_targets_are_copies_made_at_intervals(tmp_path: Path) -> None:
    model = build(target_copy_interval=5, policy_kwargs={"net_arch": [16, 16], "sparsity": 0.5})
    for step in range(1, 13):
        before = [p.clone() for p in model.critic_target.parameters()]
        train(model, 1)
        if step % 5 == 0:
            assert targets_equal(model)
        else:
            assert all(torch.equal(a, b) for a, b in zip(before, model.critic_target.parameters(), strict=True))
    model.save(tmp_path / "model")
    loaded = DSSAC.load(tmp_path / "model", env=Still())
    fill(loaded)
    for one in (model, loaded):
        train(one, 3, seed=4)
        assert targets_equal(one)
    assert all(torch.equal(a, b) for a, b in zip(model.policy.parameters(), loaded.policy.parameters(), strict=True))


def test_several_steps_in_one_call_are_counted_like_single_ones() -> None:
    one, many = (build(target_copy_interval=4, policy_kwargs={"net_arch": [16], "sparsity": 0.5}) for _ in range(2))
    train(many, 6)
    torch.manual_seed(1)
    import numpy as np

    np.random.seed(1)  # noqa: NPY002
    for _ in range(6):
        one.train(1, 32)
    assert all(torch.equal(a, b) for a, b in zip(one.policy.parameters(), many.policy.parameters(), strict=True))


def test_the_topology_ends_with_the_run() -> None:
    model = build(learning_starts=100, policy_kwargs={"net_arch": [16], "sparsity": 0.5})
    model.learn(300)
    assert model.policy.topology_controllers["critic"].schedule.end == 185  # 95% of 300, but for 100


@pytest.mark.parametrize("option", [{"tau": 0.1}, {"target_update_interval": 2}, {"target_copy_interval": 0}])
def test_what_the_copies_need_is_not_to_be_given(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="target_copy_interval"):
        build(**option)


def test_the_robust_recipe_is_sac_with_the_sparse_policys_defaults(tmp_path: Path) -> None:
    robust = build(recipe="robust")
    plain = SAC("SparseMlpPolicy", Still(), buffer_size=1000, seed=0, device="cpu")
    for name in ("learning_rate", "batch_size", "tau", "gamma", "ent_coef", "gradient_steps", "target_update_interval"):
        assert getattr(robust, name) == getattr(plain, name)
    assert {**robust.policy.sparse_options(), "topology_defaults": {}} == plain.policy.sparse_options()
    assert robust.why_not_native() is None
    before = [p.clone() for p in robust.critic_target.parameters()]
    train(robust, 3)
    assert robust.tau == 0.005
    assert not targets_equal(robust)
    assert not any(torch.equal(a, b) for a, b in zip(before, robust.critic_target.parameters(), strict=True))
    robust.save(tmp_path / "model")
    loaded = DSSAC.load(tmp_path / "model", env=Still())
    assert loaded.target_copy_interval is None
    fill(loaded)
    for one in (robust, loaded):
        train(one, 3, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(robust.policy.parameters(), loaded.policy.parameters(), strict=True))


def test_targets_that_are_not_averaged_at_every_step_are_left_to_sac() -> None:
    model = build(recipe="robust", target_update_interval=2, policy_kwargs={"net_arch": [16]})
    assert "averaged at every step" in str(model.why_not_native())
    assert build(recipe="robust", tau=0.1, policy_kwargs={"net_arch": [16]}).tau == 0.1
