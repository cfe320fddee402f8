"""Deep rewiring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import random_growth
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Rewire, generator_on, places

AWAKENED = 1e-12
"""The size of a connection that was just grown, too small to matter and large enough to have a sign."""


class DeepR(ExchangeRule):
    """Connections have a sign for life, wander at random, and make room for others when they would change it.

    Bellec, Kappel, Maass, Legenstein, "Deep Rewiring: Training Very Sparse Deep Networks", ICLR 2018, algorithm 1:
    after each step every |w| shrinks by η·α and gets Gaussian noise; a connection whose sign has turned goes dormant
    and one drawn uniformly among all dormant ones, with a random sign, takes its place. The optimizer contributes
    the gradient's part of the step, whichever it is.

    Differences from the authors' code: the noise does not shrink with the learning rate; an absent connection draws its
    sign when it is grown, where theirs has one from the start.

    Args:
        l1: α.
        noise: standard deviation of the noise of a step.
    """

    every_step = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1, "drop_fraction": 1.0, "schedule": "constant"}

    reinforcement = published

    def __init__(self, l1: float = 1e-5, noise: float = 1e-5) -> None:
        for name, value in (("l1", l1), ("noise", noise)):
            if value < 0:
                raise ConfigurationError(f"{name}={value} is negative.")
        self.l1, self.noise = l1, noise

    def before_step(self, layer: LayerView) -> None:
        """Remember the signs that connections were born with. In a full layer one that turns is born again at once."""
        full = layer.edges.nnz == layer.edges.size
        born = None if full else layer.memory.slots.get("sign")
        sign = torch.where(layer.weight < 0, -1.0, 1.0).to(layer.weight.dtype)
        layer.memory.slots["sign"] = sign if born is None else torch.where(born == 0, sign, born)

    def after_step(self, layer: LayerView) -> None:
        sign = layer.memory.slots["sign"]
        noise = torch.empty_like(sign).normal_(generator=generator_on(sign.device, layer.generator))
        layer.weight.add_(noise, alpha=self.noise).sub_(sign, alpha=layer.learning_rate * self.l1)

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        """Those whose sign has turned, however many."""
        return places(layer.weight * layer.memory.slots["sign"] < 0)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        return random_growth(layer, survivors, count)

    def new_weights(self, layer: LayerView, rewire: Rewire) -> Tensor:
        zeros = super().new_weights(layer, rewire)
        generator = generator_on(zeros.device, layer.generator)
        sign = torch.randint(2, zeros.shape, generator=generator, device=zeros.device) * 2 - 1
        return zeros + AWAKENED * sign.to(zeros.dtype)
