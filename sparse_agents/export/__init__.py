"""A trained agent for other programs."""

from sparse_agents.export.acting import Acting, acting_of
from sparse_agents.export.c_source import write_c
from sparse_agents.export.onnx_graph import write_onnx
from sparse_agents.export.tensors import write_tensors

__all__ = ["Acting", "acting_of", "write_c", "write_onnx", "write_tensors"]
