"""A dense agent and a sparse one, trained on the same task, side by side: returns and seconds.

python examples/dense_and_sparse.py --steps 5000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy

from sparse_agents import DSSAC
from sparse_agents.cli import run_command
from sparse_agents.runs import check_environment


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--env", default="Pendulum-v1", help="a task with continuous actions")
    parser.add_argument("--steps", type=int, default=5000, help="environment steps")
    parser.add_argument("--sparsity", type=float, default=0.9, help="of the sparse agent")
    arguments = parser.parse_args(argv)
    check_environment(arguments.env)

    torch.set_num_threads(1)
    settings = {"learning_rate": 1e-3, "learning_starts": min(1000, arguments.steps // 2), "seed": 0}
    agents = {
        "dense": SAC("MlpPolicy", arguments.env, **settings),
        "sparse": DSSAC(
            "SparseMlpPolicy",
            arguments.env,
            recipe="robust",
            policy_kwargs={"sparsity": arguments.sparsity},
            **settings,
        ),
    }
    for name, agent in agents.items():
        begin = time.perf_counter()
        agent.learn(arguments.steps)
        seconds = time.perf_counter() - begin
        env = agent.get_env()
        assert env is not None
        mean, deviation = evaluate_policy(agent, env, n_eval_episodes=10)
        print(f"{name:6}  return {mean:8.1f} ± {deviation:5.1f}   {seconds:6.1f} s")


if __name__ == "__main__":
    run_command(main)
