"""In-time over-parameterisation: how much of the dense network has been tried."""

from __future__ import annotations

import torch

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
