"""Topology rules: one file each, found by name."""

from sparse_agents.rules.acdc import ACDC
from sparse_agents.rules.base import ExchangeRule, TopologyRule, overlay
from sparse_agents.rules.cht import CHT
from sparse_agents.rules.ctre import CTRE
from sparse_agents.rules.deepr import DeepR
from sparse_agents.rules.dsr import DSR
from sparse_agents.rules.gmp import GMP
from sparse_agents.rules.granet import GraNet
from sparse_agents.rules.grasp import GraSP
from sparse_agents.rules.lamp import LAMP
from sparse_agents.rules.magnitude import Magnitude
from sparse_agents.rules.mest import MEST
from sparse_agents.rules.nm import NM
from sparse_agents.rules.pruning import OneShotRule, PruningRule
from sparse_agents.rules.registry import RULES, SCHEDULE_OPTIONS, make_rule, register, rule_class
from sparse_agents.rules.rigl import RigL
from sparse_agents.rules.rlx2 import RLx2
from sparse_agents.rules.scores import gradient_growth, largest_edges, magnitude_drop, random_growth, smallest
from sparse_agents.rules.set import SET
from sparse_agents.rules.snfs import SNFS
from sparse_agents.rules.snip import SNIP
from sparse_agents.rules.srigl import SRigL
from sparse_agents.rules.static import Static
from sparse_agents.rules.synflow import SynFlow
from sparse_agents.rules.topkast import TopKAST
from sparse_agents.rules.view import LayerView, Memory, Update

_RULES: dict[str, type[TopologyRule]] = {
    # before training, or never
    "static": Static,
    "magnitude": Magnitude,
    "snip": SNIP,
    "grasp": GraSP,
    "synflow": SynFlow,
    # sparse to sparse
    "set": SET,
    "deepr": DeepR,
    "dsr": DSR,
    "snfs": SNFS,
    "rigl": RigL,
    "topkast": TopKAST,
    "mest": MEST,
    "ctre": CTRE,
    "srigl": SRigL,
    "nm": NM,
    "cht": CHT,
    "rlx2": RLx2,
    # dense to sparse
    "gmp": GMP,
    "lamp": LAMP,
    "acdc": ACDC,
    "granet": GraNet,
}
for _name, _rule in _RULES.items():
    register(_name, _rule)

__all__ = [
    "ACDC",
    "CHT",
    "CTRE",
    "DSR",
    "GMP",
    "LAMP",
    "MEST",
    "NM",
    "RULES",
    "SCHEDULE_OPTIONS",
    "SET",
    "SNFS",
    "SNIP",
    "DeepR",
    "ExchangeRule",
    "GraNet",
    "GraSP",
    "LayerView",
    "Magnitude",
    "Memory",
    "OneShotRule",
    "PruningRule",
    "RLx2",
    "RigL",
    "SRigL",
    "Static",
    "SynFlow",
    "TopKAST",
    "TopologyRule",
    "Update",
    "gradient_growth",
    "largest_edges",
    "magnitude_drop",
    "make_rule",
    "overlay",
    "random_growth",
    "register",
    "rule_class",
    "smallest",
]
