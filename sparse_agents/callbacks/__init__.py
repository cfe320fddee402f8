"""Callbacks for Stable-Baselines3."""

from sparse_agents.callbacks.monitors import BY_DEFAULT, MONITORS, Monitor
from sparse_agents.callbacks.sparsity import SparsityCallback

__all__ = ["BY_DEFAULT", "MONITORS", "Monitor", "SparsityCallback"]
