"""How far topologies have come."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_agents.topology import Edges, different


class Exploration:
    """The union of a layer's topologies so far, in O(explored connections).

    ``rate`` is R_s of Liu et al., "Do We Actually Need Dense Over-Parameterization?", ICML 2021, section 3:
    the fraction of all possible connections that have existed at some time.
    """

    def __init__(self, edges: Edges) -> None:
        self._size = edges.size
        self._seen = edges.ids

    def add(self, edges: Edges) -> None:
        self._seen = different(torch.cat([self._seen, edges.ids]))

    @property
    def rate(self) -> float:
        return len(self._seen) / self._size


def overlap(edges: Edges, before: Tensor) -> float:
    """The fraction of earlier connections that are there.

    Args:
        edges: those there are.
        before: places of the earlier ones, as ``Edges.ids``.
    """
    return float((edges.find(before) >= 0).double().mean()) if len(before) else 1.0
