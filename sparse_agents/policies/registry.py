"""A sparse class for every policy of every algorithm, and its alias."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from stable_baselines3.common.base_class import BaseAlgorithm

from sparse_agents.policies.base import SparsePolicyMixin
from sparse_agents.policies.layouts import (
    MaximumEntropy,
    OffPolicyActorCritic,
    OnPolicyActorCritic,
    RandomSearch,
    SmallSteps,
    TrustRegion,
    ValueNetwork,
)

SparseClass = type[SparsePolicyMixin]

LAYOUTS: Mapping[str, Mapping[str, SparseClass]] = {
    "stable_baselines3": {
        "A2C": OnPolicyActorCritic,
        "DDPG": OffPolicyActorCritic,
        "DQN": ValueNetwork,
        "PPO": OnPolicyActorCritic,
        "SAC": SmallSteps,
        "TD3": OffPolicyActorCritic,
    },
    "sb3_contrib": {
        "ARS": RandomSearch,
        "CrossQ": MaximumEntropy,
        "MaskablePPO": OnPolicyActorCritic,
        "QRDQN": ValueNetwork,
        "RecurrentPPO": OnPolicyActorCritic,
        "TQC": SmallSteps,
        "TRPO": TrustRegion,
    },
}
"""By package and algorithm. One line is all an algorithm needs."""


def _sparse_class(algorithm: str, alias: str, dense: type, layout: type[SparsePolicyMixin]) -> SparseClass:
    """``SparseTD3Policy`` for TD3's ``MlpPolicy``, ``SparseTD3CnnPolicy`` for its ``CnnPolicy``, and so on."""
    kind = alias.removesuffix("Policy").removesuffix("Lstm").removeprefix("Mlp")
    doc = f'{algorithm}\'s ``"{alias}"``, sparse. See :class:`SparsePolicyMixin` for ``policy_kwargs``.'
    names = {"__module__": __package__, "__doc__": doc}
    return type(f"Sparse{algorithm}{kind}Policy", (layout, dense), names)


def _make() -> dict[type[BaseAlgorithm], dict[str, SparseClass]]:
    made: dict[type[BaseAlgorithm], dict[str, SparseClass]] = {}
    for package, layouts in LAYOUTS.items():
        try:
            module = importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            continue  # an extra that is not installed
        for name, layout in layouts.items():
            algorithm = getattr(module, name)
            made[algorithm] = {
                f"Sparse{alias}": _sparse_class(name, alias, dense, layout)
                for alias, dense in algorithm.policy_aliases.items()
            }
    return made


ALIASES: Mapping[type[BaseAlgorithm], Mapping[str, SparseClass]] = _make()
CLASSES: Mapping[str, SparseClass] = {kind.__name__: kind for aliases in ALIASES.values() for kind in aliases.values()}


def register_aliases() -> None:
    """Make ``"SparseMlpPolicy"`` and its like known to the algorithms. Importing ``sparse_agents`` does it."""
    for algorithm, aliases in ALIASES.items():
        algorithm.policy_aliases = {**algorithm.policy_aliases, **aliases}  # type: ignore[dict-item]
