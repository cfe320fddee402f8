"""Topology rules: one file each, found by name."""

from sparse_agents.rules.base import LayerView, TopologyRule, gradient_growth, magnitude_drop, random_growth, smallest
from sparse_agents.rules.registry import RULES, make_rule, register
from sparse_agents.rules.rigl import RigL
from sparse_agents.rules.set import SET
from sparse_agents.rules.static import Static

register("static", Static)
register("set", SET)
register("rigl", RigL)

__all__ = [
    "RULES",
    "SET",
    "LayerView",
    "RigL",
    "Static",
    "TopologyRule",
    "gradient_growth",
    "magnitude_drop",
    "make_rule",
    "random_growth",
    "register",
    "smallest",
]
