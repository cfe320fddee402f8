"""Topology rules: one file each, found by name."""

from sparse_agents.rules.acdc import ACDC
from sparse_agents.rules.base import ExchangeRule, TopologyRule
from sparse_agents.rules.dsr import DSR
from sparse_agents.rules.gmp import GMP
from sparse_agents.rules.granet import GraNet
from sparse_agents.rules.lamp import LAMP
from sparse_agents.rules.magnitude import Magnitude
from sparse_agents.rules.nm import NM
from sparse_agents.rules.pruning import OneShotRule, PruningRule
from sparse_agents.rules.registry import RULES, make_rule, register
from sparse_agents.rules.rigl import RigL
from sparse_agents.rules.rlx2 import RLx2
from sparse_agents.rules.scores import gradient_growth, magnitude_drop, random_growth, smallest
from sparse_agents.rules.set import SET
from sparse_agents.rules.snip import SNIP
from sparse_agents.rules.static import Static
from sparse_agents.rules.synflow import SynFlow
from sparse_agents.rules.view import LayerView, Memory, Update

register("static", Static)
register("magnitude", Magnitude)
register("snip", SNIP)
register("synflow", SynFlow)
register("set", SET)
register("rigl", RigL)
register("gmp", GMP)
register("lamp", LAMP)
register("acdc", ACDC)
register("dsr", DSR)
register("granet", GraNet)
register("nm", NM)
register("rlx2", RLx2)

__all__ = [
    "ACDC",
    "DSR",
    "GMP",
    "LAMP",
    "NM",
    "RULES",
    "SET",
    "SNIP",
    "ExchangeRule",
    "GraNet",
    "LayerView",
    "Magnitude",
    "Memory",
    "OneShotRule",
    "PruningRule",
    "RLx2",
    "RigL",
    "Static",
    "SynFlow",
    "TopologyRule",
    "Update",
    "gradient_growth",
    "magnitude_drop",
    "make_rule",
    "random_growth",
    "register",
    "smallest",
]
