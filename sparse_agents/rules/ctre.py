"""Cosine similarity and random topology exploration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import best_free, magnitude_drop, random_growth
from sparse_agents.rules.view import DenseGradient, LayerView, Update
from sparse_agents.topology import Rewire, ascending, union

VARIANTS = ("sim", "seq")
TILE_ELEMENTS = 1 << 20


class CTRE(ExchangeRule):
    """Grow where the activations of two units are most alike: what fires together, wires together.

    Atashgahi, Pieterse, Liu, Mocanu, Veldhuis, Pechenizkiy, "A Brain-inspired Algorithm for Training Highly Sparse
    Neural Networks", Machine Learning 2022, algorithm 1: drop the ⌊ζ·nnz⌋ smallest |w|; grow as many with the largest
    |cosine| between the activations of input and output unit over the samples. ``"sim"`` puts random connections in
    the place of those it would only grow back; ``"seq"`` grows by similarity at first and at random later.

    Differences from the authors' code: the samples are those of the last minibatch, where theirs go through the
    training set; outputs of the network enter as they are, without a softmax, and so do those of a layer whose
    activation is a module of its own, where the next layer is dense or not known (``paths``); new connections start at
    zero, where theirs are uniform in ±√(6/n_in); ``"seq"`` changes over after a number of updates, where theirs does so
    after 40 epochs without improvement on a validation set, which a rule does not see.

    Args:
        variant: ``"sim"`` or ``"seq"``.
        random_after: updates by similarity of ``"seq"``.
    """

    needs_dense_gradient = True  # the probe brings the activations, too
    convolutions = False
    keep_regrown = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.2, "schedule": "constant"}

    def __init__(self, variant: str = "sim", random_after: int = 40) -> None:
        if variant not in VARIANTS:
            raise unknown("variant", variant, VARIANTS)
        if random_after < 0:
            raise ConfigurationError(f"random_after={random_after} is negative.")
        self.variant, self.random_after = variant, random_after

    def update(self, update: Update) -> Sequence[Rewire | None]:
        probes = {layer.name: layer.probe for layer in update.layers}
        above = {one: probes[other] for path in update.paths for one, other in pairwise(path) if other in probes}
        layers = [replace(view, probe=_Activations(view.probe, above.get(view.name))) for view in update.layers]
        update = replace(update, layers=layers)
        if self.variant == "seq" and update.moment.number >= self.random_after:
            for layer in update.layers:
                layer.memory.other["random"] = torch.tensor(True)
        return super().update(update)

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return magnitude_drop(layer, fraction)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        if "random" in layer.memory.other:
            return random_growth(layer, survivors, count)
        alike = best_free(_similarities(layer), layer, survivors, count)
        if self.variant == "seq":
            return alike
        new = alike[layer.edges.find(alike) < 0]
        taken = union(survivors, ascending(new))
        return torch.cat([new, random_growth(layer, taken, count - len(new))])


@dataclass(frozen=True)
class _Activations:
    """Those of a layer, whose outputs are what the next layer gets, where that is known."""

    own: DenseGradient
    above: DenseGradient | None

    def tiles(self, multiple: int = 1) -> Iterator[tuple[int, Tensor]]:
        return self.own.tiles(multiple)

    def activations(self) -> tuple[Tensor, Tensor]:
        inputs, outputs = self.own.activations()
        passed_on = outputs if self.above is None else self.above.activations()[0]
        return inputs, passed_on if passed_on.shape == outputs.shape else outputs


def _similarities(layer: LayerView) -> Iterator[tuple[int, Tensor]]:
    """|cosine| of output and input units, ``(first row, [rows, in_features])``; zero for a silent unit."""
    inputs, outputs = layer.probe.activations()
    inputs, outputs = _normalised(inputs), _normalised(outputs)
    step = max(1, TILE_ELEMENTS // len(inputs))
    for first in range(0, len(outputs), step):
        yield first, (outputs[first : first + step] @ inputs.t()).abs_()


def _normalised(activations: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(activations, dim=1, keepdim=True)
    return activations / norm.masked_fill(norm == 0, 1.0)
