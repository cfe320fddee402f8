"""Whole agents are compared on the same data."""

from __future__ import annotations

import torch

from sparse_agents.benchmark import agents, learning, predictions
from sparse_agents.benchmark.agents import new_agent
from sparse_agents.benchmark.masks import masked


def test_gradient_steps_and_steps_of_learning() -> None:
    found = [*agents("SAC", "Pendulum-v1", width=8, batch=8, sparsities=(0.5, 0.6))]
    found += [*learning("TD3", "Pendulum-v1", width=8, batch=8, sparsity=0.5, steps=3)]
    found += [*predictions("TD3", "Pendulum-v1", width=8, sparsity=0.5)]
    assert [(r.contender, r.sparsity) for r in found] == [
        ("sparse_agents", 0.5), ("sparse_agents", 0.6), ("masks", 0.5), ("masks", 0.6),
        ("sparse_agents", 0.5), ("masks", 0.5), ("sparse_agents", 0.5), ("masks", 0.5),
    ]  # fmt: skip
    assert all(0 < r.seconds < 1 for r in found)
    assert all(r.ratio == r.baseline_seconds / r.seconds for r in found)


def test_masks_keep_their_zeros() -> None:
    from stable_baselines3 import TD3

    model = masked(new_agent(TD3, "Pendulum-v1", 32, 8), 0.9)
    model.learn(60)
    weight = model.actor.mu[2].weight
    assert 0.8 < float((weight == 0).float().mean()) < 1
    assert torch.isfinite(weight).all()
