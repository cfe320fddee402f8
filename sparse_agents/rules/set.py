"""Sparse evolutionary training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import random_growth, smallest
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import places


class SET(ExchangeRule):
    """Remove the weights nearest zero, each sign separately, and grow as many at random.

    Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity
    inspired by network science", Nature Communications 2018, algorithm 1: per update the ζ fraction
    of the smallest positive weights and the ζ fraction of the largest negative ones. New connections
    start at zero with zero moments, also where a connection just dropped is drawn again.

    Differences from the authors' code (and from DS-TD3's): the count is ⌊ζ·n⌋ for each sign, where
    their thresholds drop one more and all ties; weights of exactly zero count as positive, where
    theirs always go.

    Args:
        keep_regrown: let a connection that is dropped and drawn again keep its value and moments, as
            DS-TD3's code does with the value.
    """

    blocks = True
    itop = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "constant"}

    def __init__(self, keep_regrown: bool = False) -> None:
        self.keep_regrown = keep_regrown

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        weight = layer.weight
        negative = weight < 0
        slots = []
        for sign in (~negative, negative):
            own = places(sign)
            slots.append(own[smallest(weight[own].abs(), int(fraction * len(own)))])
        return torch.cat(slots)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        return random_growth(layer, survivors, count)
