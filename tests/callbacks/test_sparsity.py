from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from sb3_helpers import Still, build
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import KVWriter, Logger

from sparse_agents import DSTD3, SparsityCallback
from sparse_agents.callbacks import MONITORS
from sparse_agents.callbacks.monitors.cost import FLOPS_PER_CONNECTION
from sparse_agents.nn import sparse_layers

SPARSE = {
    "net_arch": [16, 16],
    "sparsity": 0.7,
    "topology_kwargs": {"update_interval": 10, "drop_fraction": 0.3},
}


class Collect(KVWriter):
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append({"step": step, **key_values})

    def close(self) -> None:
        pass


def learn_logged(
    kind: type = TD3, callback: SparsityCallback | None = None, **kwargs: Any
) -> tuple[Any, list[dict[str, Any]]]:
    model = kind("SparseMlpPolicy", Still(), buffer_size=500, learning_starts=20, batch_size=8, seed=0,
                 device="cpu", policy_kwargs=copy.deepcopy(SPARSE), **kwargs)  # fmt: skip
    writer = Collect()
    model.set_logger(Logger(folder=None, output_formats=[writer]))
    model.learn(120, callback=callback)
    return model, writer.rows


def learn(kind: type = TD3, callback: SparsityCallback | None = None, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    model, rows = learn_logged(kind, callback, **kwargs)
    return model, {k: v for row in rows for k, v in row.items()}


@pytest.mark.parametrize(("log_every", "expected"), [(20, [20, 40, 60, 80, 100, 120]), (50, [50, 100, 120])])
def test_every_record_is_written_once_at_its_own_step(log_every: int, expected: list[int]) -> None:
    _, rows = learn_logged(callback=SparsityCallback(log_every=log_every))
    records = [row for row in rows if "topology/kept/total" in row]
    assert [row["step"] for row in records] == expected
    assert [row["time/total_timesteps"] for row in records] == expected
    dropped = [row["topology/dropped/critic.qf0.2"] for row in records]
    assert all(a < b for a, b in itertools.pairwise(dropped))
    assert all(row["topology/kept/critic.qf0.2"] < 1 for row in records[1:]), "of the record before"


@pytest.mark.parametrize("kind", [TD3, SAC])
def test_every_figure_is_there_per_layer_and_in_total(kind: type) -> None:
    model, row = learn(kind, SparsityCallback(log_every=20))
    for controller in model.policy.topology_controllers.values():
        for name, layer in controller.layers.items():
            assert row[f"sparsity/{name}"] == pytest.approx(layer.sparsity)
            assert row[f"connections/{name}"] == layer.topology.nnz
            assert row[f"topology/dropped/{name}"] == row[f"topology/grown/{name}"]
            assert layer.topology.edges.density <= row[f"topology/exploration/{name}"] <= 1
    assert row["sparsity/total"] == pytest.approx(0.7, abs=0.01)
    assert row["topology/dropped/total"] > 0
    assert 0 <= row["dormant/total"] <= 1
    assert {k for k in row if k.startswith("dormant/critic")} == {
        f"dormant/critic.qf{q}.{i}" for q in (0, 1) for i in (1, 3)
    }


def test_monitors_say_what_they_are_asked_for() -> None:
    model, row = learn(callback=SparsityCallback(log_every=1, monitors=tuple(MONITORS)))
    layer = "critic.qf0.2"
    assert 0 < row[f"topology/surviving/{layer}"] < row[f"topology/kept/{layer}"] <= 1
    assert 0 < row[f"topology/distance/{layer}"] < 1
    assert 1 <= row["rank/critic.qf0.1"] <= 16
    assert 0 < row[f"weights/magnitude/{layer}"] < row[f"weights/largest/{layer}"]
    assert row["gradients/norm/total"] > row[f"gradients/norm/{layer}"] > 0
    assert 0 < row[f"gradients/change/{layer}"] < np.inf
    assert np.isfinite(row["values/mean"])
    assert row[f"degrees/in/{layer}"].sum() == row[f"degrees/out/{layer}"].sum() == row[f"connections/{layer}"]
    assert row["flops/estimated_joules"] == pytest.approx(2.3e-12 * row["flops/training"])
    for key in (f"pictures/{layer}", f"changes/{layer}", "inputs/critic.qf0.0", "inputs/actor.mu.0"):
        picture = row[key].image
        assert picture.dtype == np.uint8
        assert picture.max() == 255, key
    assert row["inputs/critic.qf0.0"].image.shape[1] == model.critic.qf0[0].in_features


def test_monitors_by_name() -> None:
    _, row = learn(callback=SparsityCallback(log_every=20, monitors=("cost",)))
    assert {key.partition("/")[0] for key in row} <= {"step", "flops", "time", "train", "rollout"}
    with pytest.raises(ValueError, match=r"Unknown monitor 'costs'\. Did you mean 'cost'"):
        SparsityCallback(monitors=["costs"])


def test_nothing_of_recent_transitions_where_they_are_not_wanted() -> None:
    _, row = learn(callback=SparsityCallback(log_every=20, recent=0))
    assert not any(key.startswith(("dormant/", "rank/", "values/")) for key in row)


def test_a_run_with_it_is_bit_for_bit_the_run_without() -> None:
    with_it, _ = learn(callback=SparsityCallback(log_every=7))
    without, _ = learn()
    for a, b in zip(with_it.policy.parameters(), without.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert np.array_equal(with_it.replay_buffer.actions, without.replay_buffer.actions)


def test_flops_are_counted_per_optimizer_step() -> None:
    callback = SparsityCallback(log_every=20)
    model, row = learn(callback=callback)
    callback._record()  # the last step came after the last record
    cost: Any = callback.monitors["cost"]
    steps = {n: c.steps for n, c in model.policy.topology_controllers.items()}
    expected = 0
    for name, network in (("actor", model.actor), ("critic", model.critic)):
        nnz = sum(layer.topology.nnz for layer in sparse_layers(network).values())
        expected += FLOPS_PER_CONNECTION * nnz * steps[name] * 8
    assert cost.flops == expected
    assert row["flops/relative_to_dense"] == pytest.approx(0.3, abs=0.01)


def test_the_papers_dense_flops() -> None:
    """1.07e14 for a million steps of dense TD3 on HalfCheetah (Sokar et al. 2022, table 1)."""
    model = DSTD3(env=Still(17, 6), buffer_size=10)
    callback = SparsityCallback()
    callback.init_callback(model)
    model.set_logger(Logger(folder=None, output_formats=[]))
    callback._on_training_start()
    model.policy.topology_controllers["critic"].steps = 1_000_000
    model.policy.topology_controllers["actor"].steps = 500_000
    callback._record()
    cost: Any = callback.monitors["cost"]
    assert cost.dense_flops == pytest.approx(1.07e14, rel=0.005)
    assert cost.flops / cost.dense_flops == pytest.approx(0.49, abs=0.01)


def test_dense_policy_is_refused() -> None:
    model = build(TD3, "MlpPolicy", policy_kwargs={"net_arch": [8]})
    with pytest.raises(ValueError, match="nothing to report of TD3Policy"):
        model.learn(1, callback=SparsityCallback())


def test_bad_interval() -> None:
    with pytest.raises(ValueError, match="log_every=0"):
        SparsityCallback(log_every=0)
