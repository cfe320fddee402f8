"""Sparse modules and the way from dense ones to them and back."""

from sparse_agents.nn.backends import BACKENDS, CROSSOVER, fastest, kernels_on, use_backend
from sparse_agents.nn.conv import SparseConv2d
from sparse_agents.nn.convert import (
    WEIGHT_INITS,
    DenseLayer,
    check_patterns,
    dense_layers,
    densify,
    is_dense_layer,
    matches,
    matrix_shape,
    random_topologies,
    replace_layers,
    sparse_layers,
    unrolled,
)
from sparse_agents.nn.deferred import check_none_deferred, deferred_matrices, is_deferred, needing_values
from sparse_agents.nn.layer import SparseLayer
from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.lstm import UnrolledLSTM, torch_name
from sparse_agents.nn.norm import Normalised
from sparse_agents.nn.sequential import SparseSequential, fuse

__all__ = [
    "BACKENDS",
    "CROSSOVER",
    "WEIGHT_INITS",
    "DenseLayer",
    "Normalised",
    "SparseConv2d",
    "SparseLayer",
    "SparseLinear",
    "SparseSequential",
    "UnrolledLSTM",
    "check_none_deferred",
    "check_patterns",
    "deferred_matrices",
    "dense_layers",
    "densify",
    "fastest",
    "fuse",
    "is_deferred",
    "is_dense_layer",
    "kernels_on",
    "matches",
    "matrix_shape",
    "needing_values",
    "random_topologies",
    "replace_layers",
    "sparse_layers",
    "torch_name",
    "unrolled",
    "use_backend",
]
