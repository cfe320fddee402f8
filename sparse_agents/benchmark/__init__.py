"""Benchmarks: contenders side by side in one run."""

from sparse_agents.benchmark.kernels import acting, bare_layers, gradient_steps, networks, single_layers
from sparse_agents.benchmark.timing import Record, alternate, compare
from sparse_agents.benchmark.topology import UpdateMemory, UpdateTime, update_memory, update_times

__all__ = [
    "Record",
    "UpdateMemory",
    "UpdateTime",
    "acting",
    "alternate",
    "bare_layers",
    "compare",
    "gradient_steps",
    "networks",
    "single_layers",
    "update_memory",
    "update_times",
]
