"""Layers written down as matrices, for cases worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparse_agents.ops import GradientProbe
from sparse_agents.ops.probe import Pair
from sparse_agents.rules import LayerView, TopologyRule, Update
from sparse_agents.topology import Edges, Moment, Rewire

Matrix = Sequence[Sequence[float | None]]
_ = None  # an absent connection


def view(weights: Matrix, dense_gradient: Matrix | None = None, name: str = "layer", **fields: Any) -> LayerView:
    """``weights``: rows of outputs, None where there is no connection."""
    mask = torch.tensor([[w is not None for w in row] for row in weights])
    values = torch.tensor([w for row in weights for w in row if w is not None], dtype=torch.float64)
    probe = GradientProbe()
    if dense_gradient is not None:
        gradient = torch.tensor(dense_gradient, dtype=torch.float64)
        probe._pairs.append(Pair(torch.eye(gradient.shape[1], dtype=torch.float64), gradient, gradient))
    settings = {"start": int(mask.sum()), "budget": int(mask.sum()), **fields}
    return LayerView(name, Edges.from_mask(mask), values, probe, torch.Generator().manual_seed(0), **settings)


def update(rule: TopologyRule, *layers: LayerView, **fields: Any) -> Sequence[Rewire | None]:
    """One update of these layers; ``number``, ``fraction`` and ``progress`` of the moment, and further fields."""
    moment = Moment(1, fields.pop("number", 0), fields.pop("fraction", 0.5), fields.pop("progress", 0.0))
    return rule.update(Update(layers, moment, torch.Generator().manual_seed(0), **fields))


def after(layer: LayerView, rewire: Rewire | None) -> list[list[float | None]]:
    """The weights as they are then, None where there is no connection."""
    assert rewire is not None
    values = iter(rewire.follow(layer.weight).tolist())
    return [[next(values) if there else None for there in row] for row in rewire.edges.mask().tolist()]


def places(rewire: Rewire | None) -> list[tuple[int, int]]:
    assert rewire is not None
    return [(int(r), int(c)) for r, c in rewire.edges.mask().nonzero().tolist()]


def dense(tensor: Tensor) -> list[list[float]]:
    result: list[list[float]] = tensor.tolist()
    return result
