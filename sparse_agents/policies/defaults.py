"""What a sparse policy does where nothing is said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sparse_agents.nn import is_dense_layer, matrix_shape
from sparse_agents.policies.parts import Part

ROUNDING = 1e-3
"""What counts of connections may be off."""


@dataclass(frozen=True)
class Defaults:
    """Options of :class:`SparsePolicyMixin`, by their names.

    Attributes:
        layer_norm: where it is not given.
        weight_decay: where neither it nor ``optimizer_kwargs`` are given.
        learning_rate_scale: likewise.
    """

    layer_norm: tuple[str, ...] = ()
    weight_decay: float | Mapping[str, float] = 0.0
    learning_rate_scale: float | str | Mapping[str, float | str] = 1.0


BySparsity = Mapping[float, Defaults]
"""Each from a sparsity of the critics on; the first of them from 0."""


def defaults_for(sparsity: float, known: BySparsity) -> Defaults:
    """Of a policy whose critics are so sparse."""
    return known[max((level for level in known if level <= sparsity + ROUNDING), default=0.0)]


def critics_sparsity(parts: Iterable[Part], connections: Mapping[str, int]) -> float:
    """Of the critics, all their weight matrices together; 0 where there are none.

    Args:
        parts: of the policy, its layers being dense.
        connections: those that layers are to have, by name; others stay dense.
    """
    layers = {name: layer for part in parts if part.network == "critic" for name, layer in part.layers().items()}
    sizes = {name: math.prod(matrix_shape(layer)) for name, layer in layers.items() if is_dense_layer(layer)}
    if not sizes:
        return 0.0
    return 1 - sum(connections.get(name, size) for name, size in sizes.items()) / sum(sizes.values())
