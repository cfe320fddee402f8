"""Truly sparse neural networks for reinforcement learning, a drop-in for Stable-Baselines3.

Importing registers ``"SparseMlpPolicy"`` with Stable-Baselines3's algorithms.
"""

from sparse_agents.algorithms import DSTD3
from sparse_agents.callbacks import SparsityCallback
from sparse_agents.control import TopologyController, sparsify
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.nn import SparseLinear, SparseSequential, densify
from sparse_agents.ops import backend_info
from sparse_agents.policies import SparseSACPolicy, SparseTD3Policy, register_aliases
from sparse_agents.topology import Edges, Rewire, Topology

__version__ = "0.1.0"

register_aliases()

__all__ = [
    "DSTD3",
    "CheckpointError",
    "ConfigurationError",
    "Edges",
    "Rewire",
    "SparseLinear",
    "SparseSACPolicy",
    "SparseSequential",
    "SparseTD3Policy",
    "SparsityCallback",
    "Topology",
    "TopologyController",
    "__version__",
    "backend_info",
    "densify",
    "sparsify",
]
