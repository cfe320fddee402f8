"""Callbacks for Stable-Baselines3."""

from sparse_agents.callbacks.dormant import dormant_fractions
from sparse_agents.callbacks.exploration import Exploration
from sparse_agents.callbacks.sparsity import SparsityCallback

__all__ = ["Exploration", "SparsityCallback", "dormant_fractions"]
