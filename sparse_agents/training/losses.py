"""What is to be logged of updates, summed up where they compute it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

Sums = Mapping[str, tuple[float, int]]
"""By name: a sum, and of how many."""


class Losses:
    """Some numbers that updates add to.

    Args:
        names: of them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._sums = {name: torch.zeros(1, dtype=torch.float64) for name in names}
        self._counts = dict.fromkeys(self._sums, 0)

    def __getitem__(self, name: str) -> Tensor:
        """Where the sum is: ``[1]``, float64."""
        return self._sums[name]

    def count(self, names: Iterable[str]) -> None:
        """These have been added to."""
        for name in names:
            self._counts[name] += 1

    def collect(self) -> Sums:
        """Those that have been, which begin anew."""
        found = {f"train/{name}": (float(self._sums[name]), n) for name, n in self._counts.items() if n}
        for name in self._counts:
            self._sums[name].zero_()
            self._counts[name] = 0
        return found


class Means:
    """Of numbers that come one by one or as sums."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[float, int]] = {}

    def add(self, sums: Sums) -> None:
        for name, (value, count) in sums.items():
            total, known = self._totals.get(name, (0.0, 0))
            self._totals[name] = total + value, known + count

    def items(self) -> Iterable[tuple[str, float]]:
        """Names and means."""
        return [(name, total / count) for name, (total, count) in self._totals.items()]
