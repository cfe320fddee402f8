"""What a sparse policy does where nothing is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


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
"""Each from a sparsity on; the first of them from 0."""


def defaults_for(sparsities: Collection[float | None], known: BySparsity) -> Defaults:
    """Of a policy whose networks all have a sparsity from which on they hold.

    Args:
        sparsities: of networks; None where a distribution alone says how many connections there are.
        known: those there are.
    """
    least = min((sparsity or 0.0 for sparsity in sparsities), default=0.0)
    return known[max((level for level in known if level <= least), default=0.0)]
