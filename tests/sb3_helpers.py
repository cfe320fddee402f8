"""Small Stable-Baselines3 models with filled replay buffers."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import FlattenExtractor

from sparse_agents.control import LearningRateScale, owners_of_hooks


class Still(gym.Env):
    """Nothing happens: spaces of a control problem, without the problem."""

    def __init__(self, observations: int = 11, actions: int = 3) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (observations,), np.float64)
        self.action_space = spaces.Box(-1, 1, (actions,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(self.observation_space.shape), 0.0, False, False, {}


class Noise(Still):
    """Observations are noise, and a large action costs: a gradient there is."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._observation(), -float(np.square(action).sum()), False, False, {}

    def _observation(self) -> Any:
        return self.np_random.standard_normal(self.observation_space.shape)


class DoubleFlatten(FlattenExtractor):
    """Stable-Baselines3 casts observations to float32; this casts them back up."""

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return super().forward(observations).double()


def fill(model: OffPolicyAlgorithm, transitions: int = 600, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    buffer = model.replay_buffer
    assert buffer is not None
    for _ in range(transitions):
        obs, new = rng.standard_normal((2, 1, *buffer.obs_shape))
        action = rng.uniform(-1, 1, (1, buffer.action_dim)).astype(np.float32)
        buffer.add(obs, new, action, rng.standard_normal(1), np.zeros(1), [{}])
    model.set_logger(Logger(folder=None, output_formats=[]))


def build(kind: type[OffPolicyAlgorithm], policy: str = "SparseMlpPolicy", seed: int = 0, **kwargs: Any) -> Any:
    kwargs = copy.deepcopy(kwargs)  # Stable-Baselines3 writes into policy_kwargs
    settings = {"buffer_size": 1000, "batch_size": 32, "seed": seed, "device": "cpu", **kwargs}
    model = kind(policy, Still(), **settings)
    fill(model)
    return model


def train(model: OffPolicyAlgorithm, steps: int, seed: int = 1) -> None:
    """Gradient steps on the same samples and noise, whatever was drawn before."""
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
    model.train(steps, 32)


def decays(model: BaseAlgorithm) -> dict[str, float]:
    optimizers = model.policy.optimizers()
    return {name: group["weight_decay"] for name, optimizer in optimizers.items() for group in optimizer.param_groups}


def scales(model: BaseAlgorithm) -> dict[str, float]:
    """By how much an optimizer's steps are larger than those of the learning rate that it is given."""
    found = {}
    for name, optimizer in model.policy.optimizers().items():
        factors = [one.factor for one in owners_of_hooks(optimizer) if isinstance(one, LearningRateScale)]
        assert len(factors) <= 1
        found[name] = factors[0] if factors else 1.0
    return found
