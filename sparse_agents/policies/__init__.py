"""Sparse policy classes, importable by name, and their aliases in Stable-Baselines3.

For every policy of every algorithm there is one: ``SparseTD3Policy``, ``SparseTD3CnnPolicy``,
``SparsePPOMultiInputPolicy`` and so on; those of sb3-contrib's algorithms where it is installed.
"""

from typing import Any

from sparse_agents.policies.agents import attributes_of, densify, sparsify_agent
from sparse_agents.policies.base import TOPOLOGY_DEFAULTS, SparsePolicyMixin
from sparse_agents.policies.parts import Part
from sparse_agents.policies.registry import ALIASES, CLASSES, LAYOUTS, register_aliases
from sparse_agents.policies.simba import SimBaExtractor
from sparse_agents.policies.spelling import keywords


def __getattr__(name: str) -> Any:
    if name in CLASSES:
        return CLASSES[name]
    hint = ""
    if any(name.startswith(f"Sparse{algorithm}") for algorithm in LAYOUTS["sb3_contrib"]):
        hint = " Its algorithm is in sb3-contrib: pip install sparse-agents[contrib]."
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{hint}")


def __dir__() -> list[str]:
    return sorted([*globals(), *CLASSES])


__all__ = [
    "ALIASES",
    "CLASSES",
    "LAYOUTS",
    "TOPOLOGY_DEFAULTS",
    "Part",
    "SimBaExtractor",
    "SparsePolicyMixin",
    "attributes_of",
    "densify",
    "keywords",
    "register_aliases",
    "sparsify_agent",
]
