"""Graphs, their updates, and how connections are shared out over layers and time."""

from sparse_agents.topology.distributions import DISTRIBUTIONS, Budget, Distribution, allocate
from sparse_agents.topology.edges import Edges, Transpose, full_edges
from sparse_agents.topology.graph import Topology
from sparse_agents.topology.index_sets import complement, different, find, merge, union, without
from sparse_agents.topology.lamp import lamp_score
from sparse_agents.topology.order import HOST, ascending, by_value, kth_smallest, places, window
from sparse_agents.topology.rewire import Rewire
from sparse_agents.topology.sampling import distinct, generator_on, random_edges, random_free, random_in_groups
from sparse_agents.topology.schedules import ANNEALING, NOT_YET, Moment, Schedule, cubic

__all__ = [
    "ANNEALING",
    "DISTRIBUTIONS",
    "HOST",
    "NOT_YET",
    "Budget",
    "Distribution",
    "Edges",
    "Moment",
    "Rewire",
    "Schedule",
    "Topology",
    "Transpose",
    "allocate",
    "ascending",
    "by_value",
    "complement",
    "cubic",
    "different",
    "distinct",
    "find",
    "full_edges",
    "generator_on",
    "kth_smallest",
    "lamp_score",
    "merge",
    "places",
    "random_edges",
    "random_free",
    "random_in_groups",
    "union",
    "window",
    "without",
]
