"""Let networks be a part of themselves for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from sparse_agents.nn import SparseLayer
from sparse_agents.topology import Edges


@contextmanager
def showing(
    connections: Mapping[SparseLayer, Tensor], values: Mapping[nn.Parameter, Tensor] | None = None
) -> Iterator[None]:
    """Within, layers have only some of their connections, and compute with those alone.

    To evaluate in: nothing may be trained meanwhile. Afterwards everything is as it was, gradients included.

    Args:
        connections: bool ``[nnz]`` for each layer that is to have fewer.
        values: what parameters hold meanwhile, of their own shapes, weights before their connections are chosen.
    """
    held = {parameter: parameter.data for parameter in values or {}}
    stored = {layer: (layer.topology.edges, layer.weight.data, layer.weight.grad) for layer in connections}
    try:
        for parameter, value in (values or {}).items():
            parameter.data = value
        for layer, shown in connections.items():
            edges = layer.topology.edges
            chosen = layer.weight.data[shown]
            layer.topology.replace(Edges.from_ids(edges.ids[shown], edges.shape))
            layer.replace_weight(chosen)
        yield
    finally:
        for layer, (edges, weight, grad) in stored.items():
            layer.topology.replace(edges)
            layer.replace_weight(weight)
            layer.weight.grad = grad
        for parameter, value in held.items():
            parameter.data = value
