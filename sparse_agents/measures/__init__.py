"""What topologies and units look like, in numbers and pictures."""

from sparse_agents.measures.connectivity import connectivity, degrees, input_strength
from sparse_agents.measures.distance import topology_distance
from sparse_agents.measures.exploration import Exploration, overlap
from sparse_agents.measures.units import dormant_fraction, effective_rank, outputs_of

__all__ = [
    "Exploration",
    "connectivity",
    "degrees",
    "dormant_fraction",
    "effective_rank",
    "input_strength",
    "outputs_of",
    "overlap",
    "topology_distance",
]
