"""The topology evolution of RLx2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.rules.rigl import RigL
from sparse_agents.topology import Edges, Schedule


class RLx2(RigL):
    """RigL's update, at the pace of reinforcement learning.

    Tan, Hu, Pan, Huang, Huang, "RLx2: Training a Sparse Deep Reinforcement Learning Model from Scratch", ICLR 2023,
    section 4.1: half of the connections at first, annealed by a cosine, every 10,000 updates of each network, to the
    end of training; the optimizer's step is left out there, and target networks take on the online network's
    connections. Training starts from the largest |w| of the dense initial weights.

    Differences from the paper: in policies, whose run has no known end, nothing is annealed unless ``end`` is given.
    """

    itop = False
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 10_000, "drop_fraction": 0.5, "schedule": "cosine"}
    reinforcement: ClassVar[Mapping[str, Any]] = {**published, "schedule": "constant"}

    def schedule(self, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Schedule | None:
        annealed = {"schedule": "cosine"} if options.get("end") is not None else {}  # a cosine needs an end
        return super().schedule({**annealed, **options}, defaults)

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        return self.largest_edges(name, weight, budget)
