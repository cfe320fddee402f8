"""What the recipes of Sokar et al. (2022) have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sparse_agents.algorithms.run_length import end_with_the_run

# The topology stays as it is for the last 50k of the paper's 1M steps.
FROZEN_FRACTION = 0.05

PAPER_POLICY: Mapping[str, Any] = {
    "net_arch": [256, 256],
    "optimizer_kwargs": {"weight_decay": 2e-4},
    "sparsity": None,
    "distribution": "lambda_er",
    "lambdas": [7.0, 64.0],
    "dense_output": True,
    "weight_init": "inherit",
    "topology": "set",
}


class EndsWithTheRun(OffPolicyAlgorithm):
    """Freezes the topology for the last part of a run, whatever its length."""

    def _setup_learn(
        self, total_timesteps: int, callback: Any = None, *args: Any, **kwargs: Any
    ) -> tuple[int, BaseCallback]:
        total, prepared = super()._setup_learn(total_timesteps, callback, *args, **kwargs)
        end_with_the_run(self, total, FROZEN_FRACTION)
        return total, prepared
