"""Sparse evolutionary training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import unknown
from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import magnitude_drop, random_growth, smallest
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Rewire, generator_on, places

GROW_INITS = ("zeros", "normal", "he_uniform")


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
        by_sign: False: the ζ fraction of the smallest |w|, whatever their signs, as later libraries have it.
        grow_init: values of new connections: ``"zeros"``; ``"normal"``, N(0, 1)/10, as the first code has it; or
            ``"he_uniform"``, within ±√(6/in_features), as its parallel version.
    """

    blocks = True
    itop = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "constant"}

    def __init__(self, keep_regrown: bool = False, by_sign: bool = True, grow_init: str = "zeros") -> None:
        if grow_init not in GROW_INITS:
            raise unknown("grow_init", grow_init, GROW_INITS)
        self.keep_regrown, self.by_sign, self.grow_init = keep_regrown, by_sign, grow_init
        self.blocks = grow_init == "zeros"

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        if not self.by_sign:
            return magnitude_drop(layer, fraction)
        weight = layer.weight
        negative = weight < 0
        slots = []
        for sign in (~negative, negative):
            own = places(sign)
            slots.append(own[smallest(weight[own].abs(), int(fraction * len(own)))])
        return torch.cat(slots)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        return random_growth(layer, survivors, count)

    def new_weights(self, layer: LayerView, rewire: Rewire) -> Tensor:
        zeros = super().new_weights(layer, rewire)
        generator = generator_on(zeros.device, layer.generator)
        if self.grow_init == "normal":
            return zeros.normal_(0, 0.1, generator=generator)
        if self.grow_init == "he_uniform":
            limit = math.sqrt(6 / layer.edges.shape[1])
            return zeros.uniform_(-limit, limit, generator=generator)
        return zeros
