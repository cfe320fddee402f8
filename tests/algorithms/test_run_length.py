"""When topologies stop changing, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
from sb3_helpers import Noise, build
from stable_baselines3 import A2C, PPO, SAC, TD3

from sparse_agents import DSTD3
from sparse_agents.algorithms import end_with_the_run
from sparse_agents.runs import make_env

SMALL = {"net_arch": [16, 16], "sparsity": 0.7}


def ends(model: Any) -> dict[str, int | None]:
    return {name: c.schedule.end for name, c in model.policy.topology_controllers.items()}


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        (TD3, {"learning_starts": 100, "train_freq": 1}, {"actor": 450, "critic": 900}),
        (TD3, {"learning_starts": 100, "train_freq": 1, "policy_delay": 3}, {"actor": 300, "critic": 900}),
        (SAC, {"learning_starts": 100}, {"actor": 900, "critic": 900}),
        (SAC, {"learning_starts": 200, "train_freq": 4, "gradient_steps": 2}, {"actor": 400, "critic": 400}),
        (SAC, {"learning_starts": 200, "train_freq": 4, "gradient_steps": -1}, {"actor": 800, "critic": 800}),
        (
            SAC,
            {"learning_starts": 100, "train_freq": (1, "episode"), "gradient_steps": -1},
            {"actor": 900, "critic": 900},
        ),
        (SAC, {"train_freq": (1, "episode"), "gradient_steps": 50}, {"actor": None, "critic": None}),
    ],
)
def test_counted_in_steps_of_each_optimizer(kind: Any, settings: dict[str, Any], expected: dict[str, int]) -> None:
    model = build(kind, policy_kwargs=SMALL, **settings)
    end_with_the_run(model, 1000)
    assert ends(model) == expected


def test_a_rule_that_must_arrive_asks_where_episodes_decide() -> None:
    model = build(SAC, policy_kwargs={**SMALL, "topology": "gmp"}, train_freq=(1, "episode"), gradient_steps=50)
    with pytest.raises(ValueError, match=r"train_freq in episodes.*topology_kwargs=\{'end': ...\}"):
        end_with_the_run(model, 1000)


def test_the_first_update_is_not_missed_where_it_needs_a_dense_gradient() -> None:
    """The recipe's first update is at the actor's step 1, which is due only once the length of the run is known."""
    model = DSTD3(
        env=Noise(), buffer_size=500, learning_starts=20, batch_size=8, seed=0,
        policy_kwargs={**SMALL, "topology": "rigl"},
    )  # fmt: skip
    rewired = []
    for name, controller in model.policy.topology_controllers.items():
        controller.listeners.append(lambda *_, name=name, c=controller: rewired.append((name, c.steps)))
    model.learn(60)
    assert set(rewired) == {("actor", 0), ("critic", 1)}, "in place of the first step, and of the second"


def test_learning_again_goes_on_changing_the_topology() -> None:
    options = {"update_interval": 10, "drop_fraction": 0.3}
    model = DSTD3(
        env=Noise(), buffer_size=500, learning_starts=20, batch_size=8, seed=0,
        policy_kwargs={**SMALL, "topology_kwargs": options},
    )  # fmt: skip
    changes = []
    for controller in model.policy.topology_controllers.values():
        controller.listeners.append(lambda *_: changes.append(model.num_timesteps))
    model.learn(100)
    first = len(changes)
    model.learn(100)
    assert len(changes) == 2 * first
    model.learn(100, reset_num_timesteps=False)
    assert len(changes) >= 3 * first


def test_what_was_to_be_pruned_is_pruned_when_the_run_ends() -> None:
    options = {"update_interval": 10}
    model = DSTD3(
        env=Noise(), buffer_size=500, learning_starts=20, batch_size=8, seed=0,
        policy_kwargs={**SMALL, "topology": "gmp", "topology_kwargs": options},
    )  # fmt: skip
    model.learn(200)
    for controller in model.policy.topology_controllers.values():
        assert {name: layer.topology.nnz for name, layer in controller.layers.items()} == controller.budgets


def test_a_run_too_short_to_prune_in_says_so() -> None:
    model = DSTD3(
        env=Noise(), buffer_size=500, learning_starts=20, batch_size=8, seed=0,
        policy_kwargs={**SMALL, "topology": "gmp", "topology_kwargs": {"update_interval": 500}},
    )  # fmt: skip
    with pytest.warns(
        UserWarning, match=r"GMP would first prune (actor|critic) at optimizer step 500, and the run has \d+"
    ):
        model.learn(60)


@pytest.mark.parametrize(
    ("kind", "settings", "steps"),
    [
        (PPO, {"n_steps": 32, "batch_size": 16, "n_epochs": 3}, 6 * 3 * 4),  # 6 rollouts of 64, four minibatches
        (PPO, {"n_steps": 32, "batch_size": 64, "n_epochs": 3}, 6 * 3),
        (A2C, {"n_steps": 5}, 40),
    ],
)
def test_on_policy_runs_are_counted_in_rollouts(kind: type, settings: dict[str, Any], steps: int) -> None:
    env = make_env("Pendulum-v1", 0, n_envs=2)
    rule = {"topology": "gmp", "topology_kwargs": {"update_interval": 5}, "net_arch": [8]}
    model = kind("SparseMlpPolicy", env, device="cpu", policy_kwargs=rule, **settings)
    end_with_the_run(model, 400)
    controller = model.policy.topology_controllers["policy"]
    assert controller.last_update == steps
    model.learn(400)
    assert controller.steps >= steps
    parts = [part.weights() for part in model.policy.parts()]
    assert sum(w[0] for w in parts) == pytest.approx(0.1 * sum(w[1] for w in parts), abs=2)
