"""What is kept in memory is counted once, and under its right name."""

from __future__ import annotations

import sys

import pytest
import torch
from stable_baselines3 import TD3

from sparse_agents import DSTD3
from sparse_agents.benchmark.agents import new_agent
from sparse_agents.benchmark.memory import AgentMemory, agent_memory, kept
from sparse_agents.benchmark.replay import fill
from sparse_agents.runs import gradient_step_seconds

ENVIRONMENT, WIDTH = "Pendulum-v1", 32


def trained(kind: type, sparsity: float | None) -> DSTD3:
    model = new_agent(kind, ENVIRONMENT, WIDTH, 16, sparsity, buffer_size=200)
    fill(model)
    gradient_step_seconds({"": model}, 16, steps=2, rounds=1)
    return model


def test_every_byte_of_a_dense_agent() -> None:
    parts = kept(trained(TD3, None))
    actor = (3 + 1) * WIDTH + (WIDTH + 1) * WIDTH + WIDTH + 1
    critic = (4 + 1) * WIDTH + (WIDTH + 1) * WIDTH + WIDTH + 1
    parameters = 4 * (actor + 2 * critic)
    assert parts["parameters"] == parts["targets"] == parts["gradients"] == parameters
    assert parts["moments"] == 2 * parameters
    assert parts["indices"] == 0


def test_every_byte_of_a_sparse_one() -> None:
    model = trained(DSTD3, 0.75)
    connections = sum(present for present, _ in (part.weights() for part in model.policy.parts()))
    biases = 3 * (2 * WIDTH + 1)
    parts = kept(model)
    assert parts["parameters"] == parts["gradients"] == parts["targets"] == 4 * (connections + biases)
    assert parts["moments"] == 8 * (connections + biases)
    units = sum(sum(layer.topology.shape) + 2 for layer in layers_of(model))
    assert parts["indices"] == 20 * connections + 4 * units, "column, row and slot; ids; where rows and columns begin"


def layers_of(model: DSTD3) -> list[torch.nn.Module]:
    return [layer for part in model.policy.parts() for layer in part.layers().values()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is Linux's")
def test_the_peak_is_far_below_a_dense_matrix() -> None:
    found: dict[str, AgentMemory] = {m.contender: m for m in agent_memory(widths=(8192,), sparsity=0.999)}
    sparse, dense = found["sparse_agents"], found["dense"]
    assert dense.peak is None, "reckoned"
    assert sum(dense.parts.values()) == 20 * dense.connections
    assert sparse.connections == pytest.approx(dense.connections / 1000, rel=1e-3)
    assert sparse.peak is not None
    assert sparse.peak < 4 * 8192**2
