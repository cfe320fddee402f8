"""Sparse policy classes, importable by name, and their aliases in Stable-Baselines3."""

from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from sparse_agents.policies.actor_critic import SparseSACPolicy, SparseTD3Policy
from sparse_agents.policies.base import TOPOLOGY_DEFAULTS, SparsePolicyMixin

ALIASES: dict[type[BaseAlgorithm], dict[str, type]] = {
    TD3: {"SparseMlpPolicy": SparseTD3Policy},
    DDPG: {"SparseMlpPolicy": SparseTD3Policy},
    SAC: {"SparseMlpPolicy": SparseSACPolicy},
}


def register_aliases() -> None:
    """Make ``"SparseMlpPolicy"`` known to the algorithms. Importing ``sparse_agents`` does it."""
    for algorithm, aliases in ALIASES.items():
        algorithm.policy_aliases.update(aliases)


__all__ = [
    "ALIASES",
    "TOPOLOGY_DEFAULTS",
    "SparsePolicyMixin",
    "SparseSACPolicy",
    "SparseTD3Policy",
    "register_aliases",
]
