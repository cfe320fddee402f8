"""What SparsityCallback looks at: one small file each."""

from __future__ import annotations

from collections.abc import Mapping

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.monitors.cost import Cost
from sparse_agents.callbacks.monitors.degrees import Degrees
from sparse_agents.callbacks.monitors.distance import Distance
from sparse_agents.callbacks.monitors.exchange import Exchange
from sparse_agents.callbacks.monitors.inputs import Inputs
from sparse_agents.callbacks.monitors.pictures import Pictures
from sparse_agents.callbacks.monitors.sparsity import Sparsity
from sparse_agents.callbacks.monitors.units import Dormant, Rank
from sparse_agents.callbacks.monitors.values import Values

MONITORS: Mapping[str, type[Monitor]] = {
    "sparsity": Sparsity,
    "exchange": Exchange,
    "dormant": Dormant,
    "rank": Rank,
    "values": Values,
    "degrees": Degrees,
    "inputs": Inputs,
    "pictures": Pictures,
    "cost": Cost,
    "distance": Distance,
}
"""By the names that ``SparsityCallback(monitors=…)`` takes."""
BY_DEFAULT = tuple(name for name in MONITORS if name != "distance")
"""Those that take little time, and no further package."""

__all__ = ["BY_DEFAULT", "MONITORS", "Cost", "Monitor"]
