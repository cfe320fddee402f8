"""Agents of several algorithms on small problems, sparse and dense."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from sparse_agents.experiments.contenders import CONTENDERS

UPDATES = 40


@dataclass(frozen=True)
class Task:
    """An algorithm and what it has to learn.

    Attributes:
        package, algorithm: where the algorithm is, and its name.
        env: the environment.
        steps: environment steps to train for.
        gradient_steps: what that comes to, about.
        settings: of the algorithm: those of rl-zoo3 for this environment.
        environments: side by side.
    """

    package: str
    algorithm: str
    env: str
    steps: int
    gradient_steps: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    environments: int = 1


_PPO: dict[str, Any] = {
    "n_steps": 32, "batch_size": 256, "n_epochs": 20, "gae_lambda": 0.8, "gamma": 0.98, "learning_rate": 1e-3,
}  # fmt: skip
_DQN: dict[str, Any] = {
    "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000, "gamma": 0.99,
    "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
}  # fmt: skip
_PENDULUM: dict[str, Any] = {"learning_rate": 1e-3, "learning_starts": 500}
TASKS = {
    "ppo": Task("stable_baselines3", "PPO", "CartPole-v1", 50_000, 3900, _PPO, environments=8),
    "dqn": Task("stable_baselines3", "DQN", "CartPole-v1", 50_000, 24_000, _DQN),
    "sac": Task("stable_baselines3", "SAC", "Pendulum-v1", 10_000, 9500, _PENDULUM),
    "tqc": Task("sb3_contrib", "TQC", "Pendulum-v1", 10_000, 9500, _PENDULUM),
}


def trained_return(contender: str, sparsity: float, seed: int, task: str) -> dict[str, Any]:
    """Train one agent with two hidden layers of 256 units and return how its greedy policy does.

    Args:
        contender: a name of ``CONTENDERS``; its topology is updated 40 times, in the first three quarters.
        sparsity: of each network; ignored where they are dense.
        seed: of everything.
        task: a name of ``TASKS``.

    Returns:
        ``return``: mean undiscounted return of 20 episodes.
    """
    chosen, work = CONTENDERS[contender], TASKS[task]
    policy_kwargs: dict[str, Any] = {"net_arch": [256, 256]}
    if chosen.topology is not None:
        options = chosen.topology_kwargs(work.gradient_steps // UPDATES, work.gradient_steps)
        policy_kwargs |= {"sparsity": sparsity, "topology": chosen.topology, "topology_kwargs": options}
        policy_kwargs["learning_rate_scale"] = 1  # that of the dense contender
    algorithm = getattr(importlib.import_module(work.package), work.algorithm)
    env = make_vec_env(work.env, work.environments, seed=seed)
    policy = "MlpPolicy" if chosen.topology is None else "SparseMlpPolicy"
    model = algorithm(policy, env, seed=seed, device="cpu", policy_kwargs=policy_kwargs, **work.settings)
    model.learn(work.steps)
    returns, _ = evaluate_policy(
        model, make_vec_env(work.env, seed=10_000), n_eval_episodes=20, return_episode_rewards=True
    )
    return {"return": float(np.mean(returns))}
