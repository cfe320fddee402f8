"""Topology updates driven by optimizer steps."""

from sparse_agents.control.controller import TopologyController
from sparse_agents.control.learning_rate import LearningRateScale
from sparse_agents.control.listener import StepListener, owners_of_hooks
from sparse_agents.control.optimizer_state import is_like, map_moments, prefer_fused, swap_parameters
from sparse_agents.control.rewiring import carry_out
from sparse_agents.control.sparsify import (
    check_kinds,
    check_outputs,
    fresh_seed,
    initial_topologies,
    sparsify,
    split_options,
)

__all__ = [
    "LearningRateScale",
    "StepListener",
    "TopologyController",
    "carry_out",
    "check_kinds",
    "check_outputs",
    "fresh_seed",
    "initial_topologies",
    "is_like",
    "map_moments",
    "owners_of_hooks",
    "prefer_fused",
    "sparsify",
    "split_options",
    "swap_parameters",
]
