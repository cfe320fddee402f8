"""Benchmarks: contenders side by side in one run."""

from sparse_agents.benchmark.agents import agents, learning, predictions
from sparse_agents.benchmark.crossover import Crossover, crossovers
from sparse_agents.benchmark.kernels import acting, bare_layers, gradient_steps, networks, single_layers
from sparse_agents.benchmark.layers import convolutions, lstms
from sparse_agents.benchmark.memory import SPARSITY, WIDTHS, AgentMemory, agent_memory
from sparse_agents.benchmark.monitoring import MonitoringCost, monitoring
from sparse_agents.benchmark.timing import Record, alternate, compare
from sparse_agents.benchmark.topology import UpdateMemory, UpdateTime, update_memory, update_times

__all__ = [
    "SPARSITY",
    "WIDTHS",
    "AgentMemory",
    "Crossover",
    "MonitoringCost",
    "Record",
    "UpdateMemory",
    "UpdateTime",
    "acting",
    "agent_memory",
    "agents",
    "alternate",
    "bare_layers",
    "compare",
    "convolutions",
    "crossovers",
    "gradient_steps",
    "learning",
    "lstms",
    "monitoring",
    "networks",
    "predictions",
    "single_layers",
    "update_memory",
    "update_times",
]
