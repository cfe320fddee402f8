"""Truly sparse neural networks for reinforcement learning, a drop-in for Stable-Baselines3.

Importing registers ``"SparseMlpPolicy"`` and its like with the algorithms of Stable-Baselines3 and sb3-contrib, and the
environments of ``sparse_agents.envs`` with Gymnasium.
"""

from sparse_agents import envs  # type: ignore[attr-defined]  # mapped in by the build
from sparse_agents.algorithms import DSSAC, DSTD3
from sparse_agents.callbacks import SparsityCallback
from sparse_agents.control import TopologyController, sparsify
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.nn import SparseConv2d, SparseLinear, SparseSequential, deferred_matrices
from sparse_agents.ops import backend_info
from sparse_agents.policies import densify, register_aliases, sparsify_agent
from sparse_agents.topology import Edges, Rewire, Topology

__version__ = "0.1.0"

register_aliases()

__all__ = [
    "DSSAC",
    "DSTD3",
    "CheckpointError",
    "ConfigurationError",
    "Edges",
    "Rewire",
    "SparseConv2d",
    "SparseLinear",
    "SparseSequential",
    "SparsityCallback",
    "Topology",
    "TopologyController",
    "__version__",
    "backend_info",
    "deferred_matrices",
    "densify",
    "envs",
    "sparsify",
    "sparsify_agent",
]
