"""Sparse operations: compiled kernels, the reference beside them, and the choice between."""

from sparse_agents.ops.activation import ACTIVATIONS, NORMALISED
from sparse_agents.ops.chain import STALE_GRAPH, Chain, apply_chain, product_with
from sparse_agents.ops.compiled import key_of, run_chain
from sparse_agents.ops.curvature import CurvatureProbe
from sparse_agents.ops.library import BackendInfo, backend_info, select_isa, supported_isas
from sparse_agents.ops.native import MAX_LAYERS, NativeNetwork
from sparse_agents.ops.probe import DenseGrad, GradientProbe

__all__ = [
    "ACTIVATIONS",
    "MAX_LAYERS",
    "NORMALISED",
    "STALE_GRAPH",
    "BackendInfo",
    "Chain",
    "CurvatureProbe",
    "DenseGrad",
    "GradientProbe",
    "NativeNetwork",
    "apply_chain",
    "backend_info",
    "key_of",
    "product_with",
    "run_chain",
    "select_isa",
    "supported_isas",
]
