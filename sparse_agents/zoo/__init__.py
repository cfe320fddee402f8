"""Sparse agents in rl-zoo3: our algorithms by name, tuned settings, and what Optuna may search."""

from sparse_agents.zoo.register import HYPERPARAMS, register
from sparse_agents.zoo.search import convert_sparse, sample_sparse

__all__ = ["HYPERPARAMS", "convert_sparse", "register", "sample_sparse"]
