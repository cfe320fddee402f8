"""What hidden units do."""

from __future__ import annotations

import numpy as np
from torch import nn

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.measures import dormant_fraction, effective_rank, outputs_of

RANK_EVERY = 10
"""Records; it takes a singular value decomposition."""


class Units(Monitor):
    """On recent transitions, per layer of hidden units and their mean; nothing where no transitions are kept:

    - ``dormant/…``: the fraction of dormant units;
    - ``rank/…``: the effective rank of what they say, at every tenth record.
    """

    def __init__(self) -> None:
        self._records = 0

    def record(self, watched: Watched, log: Log) -> None:
        if watched.recent is None:
            return
        activations: dict[str, nn.Module] = {}
        for part in watched.policy.parts():
            activations |= part.hidden_activations()
        outputs = outputs_of(activations, watched.run_networks)
        figures = {"dormant": {name: dormant_fraction(output) for name, output in outputs.items()}}
        if self._records % RANK_EVERY == 0:
            figures["rank"] = {name: float(effective_rank(output)) for name, output in outputs.items()}
        self._records += 1
        for key, by_layer in figures.items():
            for name, value in by_layer.items():
                log.layer(f"{key}/{name}", value)
            if by_layer:
                log.total(f"{key}/total", float(np.mean(list(by_layer.values()))))
