"""Alternating compressed and decompressed training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.rules.pruning import PruningRule
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Moment, Rewire


class ACDC(PruningRule):
    """Dense and sparse phases of ``update_interval`` steps in turn, the last one sparse.

    Peste, Iofinova, Vladu, Alistarh, "AC/DC: Alternating Compressed/DeCompressed Training of Deep Neural Networks",
    NeurIPS 2021, algorithm 1: training begins dense; at the start of a compressed phase all but the largest |w| go;
    at the start of a decompressed one all connections return, at zero with zero moments. The last update compresses,
    whatever its turn.

    Differences from the authors' code: each layer keeps its own budget, where theirs lets layers compete
    (``scope="global"``, which at 98% leaves some layers of small networks next to nothing); momenta of connections
    that stay are kept, where theirs reset all at the start of a decompressed phase.

    Args:
        scope: see :class:`PruningRule`.
    """

    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 1.0, "schedule": "constant"}

    @staticmethod
    def _compresses(moment: Moment) -> bool:
        return moment.number % 2 == 0 or moment.progress == 1

    def score(self, layer: LayerView) -> Tensor:
        return layer.weight.abs()

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        return layer.budget if self._compresses(moment) else layer.start

    def update(self, update: Update) -> Sequence[Rewire | None]:
        if self._compresses(update.moment):
            return super().update(update)
        return [self._full(layer) for layer in update.layers]

    @staticmethod
    def _full(layer: LayerView) -> Rewire:
        return Rewire.to(layer.edges, torch.arange(layer.edges.size, device=layer.weight.device))
