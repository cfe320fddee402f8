"""Small agents of every algorithm, on environments that are noise."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

IMAGE = spaces.Box(0, 255, (3, 36, 36), np.uint8)
VECTOR = spaces.Box(-2, 2, (7,), np.float32)
OBSERVATIONS = {"Mlp": VECTOR, "Linear": VECTOR, "Cnn": IMAGE, "MultiInput": spaces.Dict(image=IMAGE, state=VECTOR)}
DISCRETE = ("DQN", "QRDQN", "MaskablePPO")
EPISODE = 10


class Sample(gym.Env):
    """Every observation is drawn from its space, every reward at random, from the environment's generator."""

    def __init__(self, observations: spaces.Space, discrete: bool) -> None:
        self.observation_space = copy.deepcopy(observations)
        self.action_space = spaces.Discrete(4) if discrete else spaces.Box(-1, 1, (3,), np.float32)
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        reward = float(self.np_random.standard_normal())
        return self.observation_space.sample(), reward, False, self._steps == EPISODE, {}

    def action_masks(self) -> list[bool]:
        return [True, True, False, True]


def in_the_fast_suite(algorithm: type[BaseAlgorithm], alias: str) -> bool:
    """Vectors always; images of one algorithm of each family."""
    return "Mlp" in alias or "Linear" in alias or algorithm.__name__ in ("TD3", "DQN", "PPO")


def observations_of(alias: str) -> spaces.Space:
    return OBSERVATIONS[alias.removeprefix("Sparse").removesuffix("Policy").removesuffix("Lstm")]


def settings(algorithm: type[BaseAlgorithm]) -> dict[str, Any]:
    """So small that dozens of gradient steps take a second."""
    if issubclass(algorithm, OffPolicyAlgorithm):
        targets = {"target_update_interval": 5, "train_freq": 2} if algorithm.__name__ in DISCRETE else {}
        return {"buffer_size": 200, "batch_size": 8, "learning_starts": 10, **targets}
    if not issubclass(algorithm, OnPolicyAlgorithm):  # ARS
        return {"n_delta": 2}
    if algorithm.__name__ == "A2C":
        return {"n_steps": 4}
    epochs = {} if algorithm.__name__ == "TRPO" else {"n_epochs": 4}
    return {"n_steps": 16, "batch_size": 8, **epochs}


def architecture(algorithm: type[BaseAlgorithm], alias: str) -> dict[str, Any]:
    kwargs: dict[str, Any] = {} if "Linear" in alias else {"net_arch": [16, 16]}
    if "Cnn" in alias:
        kwargs["features_extractor_kwargs"] = {"features_dim": 16}
    if "MultiInput" in alias:
        kwargs["features_extractor_kwargs"] = {"cnn_output_dim": 16}
    if "Lstm" in alias:
        kwargs["lstm_hidden_size"] = 8
    return kwargs


def environment(algorithm: type[BaseAlgorithm], alias: str) -> Sample:
    return Sample(observations_of(alias), algorithm.__name__ in DISCRETE)


def agent(algorithm: type[BaseAlgorithm], alias: str, seed: int = 0, **policy: Any) -> Any:
    kwargs = {**architecture(algorithm, alias), **copy.deepcopy(policy)}
    env = environment(algorithm, alias)
    return algorithm(alias, env, seed=seed, device="cpu", policy_kwargs=kwargs, **settings(algorithm))
