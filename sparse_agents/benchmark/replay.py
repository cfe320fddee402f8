"""Replay buffers with something in them."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import flatdim
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sparse_agents.runs import make_env


def dimensions(env_id: str) -> tuple[int, int]:
    """Of an environment's observations and actions, both vectors."""
    env = make_env(env_id, 0)
    return flatdim(env.observation_space), flatdim(env.action_space)


def fill(model: OffPolicyAlgorithm, transitions: int = 5000) -> None:
    """Random transitions of the shapes that the model's environment has."""
    buffer = model.replay_buffer
    assert buffer is not None
    rng = np.random.default_rng(0)
    for _ in range(transitions):
        obs, new = rng.standard_normal((2, 1, *buffer.obs_shape))
        action = rng.uniform(-1, 1, (1, buffer.action_dim))
        buffer.add(obs, new, action, rng.standard_normal(1), np.zeros(1), [{}])
