"""Swinging up a pendulum by SAC."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy

from sparse_agents.experiments.contenders import CONTENDERS
from sparse_agents.runs import make_env

INTERVAL = 250


def pendulum_return(contender: str, sparsity: float, seed: int, steps: int = 5000) -> dict[str, Any]:
    """Train SAC with 256-256 hidden units and return how the greedy policy does.

    Args:
        contender: a name of ``CONTENDERS``; the topology is updated every 250 gradient steps.
        sparsity: of actor and critics; ignored where they are dense.
        seed: of everything.
        steps: environment steps; one gradient step each after the first 500.

    Returns:
        ``return``: mean undiscounted return of 20 episodes of 200 steps. Random play gets about -1200.
    """
    chosen = CONTENDERS[contender]
    policy_kwargs: dict[str, Any] = {"net_arch": [256, 256]}
    if chosen.topology is not None:
        options = chosen.topology_kwargs(INTERVAL, steps - 500)
        policy_kwargs |= {"sparsity": sparsity, "topology": chosen.topology, "topology_kwargs": options}
        policy_kwargs["learning_rate_scale"] = 1  # that of the dense contender
        if chosen.topology == "nm":  # three observations and one action make no groups
            policy_kwargs["exclude"] = ["actor.latent_pi.0", "critic.*.0"]
    policy = "MlpPolicy" if chosen.topology is None else "SparseMlpPolicy"
    model = SAC(
        policy, make_env("Pendulum-v1", seed), seed=seed, learning_rate=1e-3, learning_starts=500, device="cpu",
        policy_kwargs=policy_kwargs,
    )  # fmt: skip
    model.learn(steps)
    evaluation = make_env("Pendulum-v1", 10_000)
    evaluation.seed(10_000)
    returns, _ = evaluate_policy(model, evaluation, n_eval_episodes=20, return_episode_rewards=True)
    return {"return": float(np.mean(returns))}
