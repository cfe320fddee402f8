"""Sparse modules and the way from dense ones to them and back."""

from sparse_agents.nn.convert import (
    WEIGHT_INITS,
    check_patterns,
    densify,
    linear_layers,
    random_topologies,
    replace_linear,
    sparse_layers,
)
from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.sequential import SparseSequential, fuse

__all__ = [
    "WEIGHT_INITS",
    "SparseLinear",
    "SparseSequential",
    "check_patterns",
    "densify",
    "fuse",
    "linear_layers",
    "random_topologies",
    "replace_linear",
    "sparse_layers",
]
