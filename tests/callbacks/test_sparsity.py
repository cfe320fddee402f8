from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sb3_helpers import Still, build
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import KVWriter, Logger

from sparse_agents import DSTD3, SparsityCallback
from sparse_agents.callbacks import Exploration, dormant_fractions
from sparse_agents.callbacks.sparsity import FLOPS_PER_CONNECTION
from sparse_agents.nn import sparse_layers
from sparse_agents.topology import Edges

SPARSE = {
    "net_arch": [16, 16],
    "sparsity": 0.7,
    "topology_kwargs": {"update_interval": 10, "drop_fraction": 0.3},
}


class Collect(KVWriter):
    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        pass


def learn(kind: type = TD3, callback: SparsityCallback | None = None, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    model = kind("SparseMlpPolicy", Still(), buffer_size=500, learning_starts=20, batch_size=8, seed=0,
                 device="cpu", policy_kwargs=copy.deepcopy(SPARSE), **kwargs)  # fmt: skip
    writer = Collect()
    model.set_logger(Logger(folder=None, output_formats=[writer]))
    model.learn(120, callback=callback)
    model.logger.dump(120)
    return model, {k: v for row in writer.rows for k, v in row.items()}


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


def test_a_run_with_it_is_bit_for_bit_the_run_without() -> None:
    with_it, _ = learn(callback=SparsityCallback(log_every=7))
    without, _ = learn()
    for a, b in zip(with_it.policy.parameters(), without.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert np.array_equal(with_it.replay_buffer.actions, without.replay_buffer.actions)


def test_flops_are_counted_per_optimizer_step() -> None:
    callback = SparsityCallback(log_every=20)
    model, row = learn(callback=callback)
    callback._record_flops()  # the last step came after the last record
    steps = {n: c.steps for n, c in model.policy.topology_controllers.items()}
    expected = 0
    for name, network in (("actor", model.actor), ("critic", model.critic)):
        nnz = sum(layer.topology.nnz for layer in sparse_layers(network).values())
        expected += FLOPS_PER_CONNECTION * nnz * steps[name] * 8
    assert callback.flops == expected
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
    callback._record_flops()
    assert callback.dense_flops == pytest.approx(1.07e14, rel=0.005)
    assert callback.flops / callback.dense_flops == pytest.approx(0.49, abs=0.01)


def test_exploration_is_the_union_of_all_topologies() -> None:
    masks = [torch.tensor([m], dtype=torch.bool) for m in ([1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [1, 1, 0, 0, 0])]
    exploration = Exploration(Edges.from_mask(masks[0]))
    assert exploration.rate == 0.4
    for mask in masks[1:]:
        exploration.add(Edges.from_mask(mask))
    assert exploration.rate == pytest.approx(0.6)


def test_dormant_units_by_hand() -> None:
    """Scores are |h| over the layer's mean: units at 0, 0.01 and 3.99 of mean 1: two are dormant at 0.025."""
    module = torch.nn.Identity()
    values = torch.tensor([[0.0, 0.01, -2.99], [0.0, 0.01, 2.99]])
    assert dormant_fractions({"layer": module}, lambda: module(values)) == {"layer": pytest.approx(2 / 3)}
    assert not module._forward_hooks


def test_dense_policy_is_refused() -> None:
    model = build(TD3, "MlpPolicy", policy_kwargs={"net_arch": [8]})
    with pytest.raises(ValueError, match="nothing to report of TD3Policy"):
        model.learn(1, callback=SparsityCallback())


def test_bad_interval() -> None:
    with pytest.raises(ValueError, match="log_every=0"):
        SparsityCallback(log_every=0)
