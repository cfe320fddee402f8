"""Settings that were found to go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sparse_agents.algorithms.run_length import end_with_the_run
from sparse_agents.errors import unknown
from sparse_agents.topology import NOT_YET

# The topology stays as it is for the last 50k of the paper's 1M steps.
FROZEN_FRACTION = 0.05


@dataclass(frozen=True)
class Recipe:
    """What holds where the user says nothing.

    Attributes:
        algorithm: arguments of the algorithm.
        policy: ``policy_kwargs``.
        timing: of topology updates, for rules without a pace of their own.
    """

    algorithm: Mapping[str, Any]
    policy: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, **given: Any) -> dict[str, Any]:
        """The recipe's under those given, of which None are not."""
        return {**self.algorithm, **{name: value for name, value in given.items() if value is not None}}

    def policy_kwargs(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """The recipe's under those given; updates end with the run, whose length is not known yet."""
        given = given or {}
        timing = {"end": NOT_YET, **self.timing, **(given.get("topology_defaults") or {})}
        return {**self.policy, **given, "topology_defaults": timing}


SOKAR_POLICY: Mapping[str, Any] = {
    "net_arch": [256, 256],
    "sparsity": None,
    "distribution": "lambda_er",
    "dense_output": True,
    "weight_init": "inherit",
    "topology": "set",
    "layer_norm": (),
    "optimizer_kwargs": {},
}
"""What the recipes of Sokar et al. (2022) have in common."""


class HasRecipes(OffPolicyAlgorithm):
    """Takes its defaults from a recipe, and freezes the topology for the last part of a run, whatever its length."""

    recipes: ClassVar[Mapping[str, Recipe]]

    @classmethod
    def find_recipe(cls, name: str) -> Recipe:
        """One of them.

        Raises:
            ConfigurationError: naming those there are.
        """
        if name not in cls.recipes:
            raise unknown("recipe", name, cls.recipes)
        return cls.recipes[name]

    def _setup_learn(
        self, total_timesteps: int, callback: Any = None, *args: Any, **kwargs: Any
    ) -> tuple[int, BaseCallback]:
        total, prepared = super()._setup_learn(total_timesteps, callback, *args, **kwargs)
        end_with_the_run(self, total, FROZEN_FRACTION)
        return total, prepared
