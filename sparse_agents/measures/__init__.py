"""What a topology looks like, in numbers and pictures."""

from sparse_agents.measures.connectivity import connectivity, degrees, input_strength

__all__ = ["connectivity", "degrees", "input_strength"]
