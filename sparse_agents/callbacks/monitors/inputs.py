"""Which observations matter."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import input_strength
from sparse_agents.nn import SparseLayer

KEPT = 200
"""Lines of the picture; older ones are thinned out."""


class Inputs(Monitor):
    """A picture ``inputs/…`` for each network at every tenth record: the strength of its inputs, a column each, a line
    for each moment from the beginning of training at the top to now, the strongest input of a moment being white.
    """

    every: ClassVar[int] = 10

    def __init__(self) -> None:
        self._lines: dict[str, list[Tensor]] = {}

    def record(self, watched: Watched, log: Log) -> None:
        firsts = [next(iter(part.layers().items()), ("", None)) for part in watched.policy.parts()]
        for name, layer in firsts:
            if not isinstance(layer, SparseLayer):
                continue
            strength = input_strength(layer.topology.edges, layer.weight)
            lines = self._lines.setdefault(name, [])
            lines.append((strength / strength.max().clamp(min=1e-12)).float().cpu())
            if len(lines) > KEPT:
                del lines[1::2]
            log.picture(f"inputs/{name}", np.asarray(torch.stack(lines).numpy(), dtype=np.float64))
