"""A memory of what has gone by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError


class Reservoir:
    """A uniform sample of all rows that were ever added (Vitter 1985, algorithm R).

    Args:
        capacity: rows that are kept.
        generator: of what is drawn.
    """

    def __init__(self, capacity: int, generator: torch.Generator) -> None:
        if capacity < 1:
            raise ConfigurationError(f"memory={capacity}: at least 1 sample.")
        self.capacity = capacity
        self.seen = 0
        self._generator = generator
        self._columns: list[Tensor] = []

    def __len__(self) -> int:
        return min(self.seen, self.capacity)

    def add(self, *columns: Tensor) -> None:
        """Rows ``[rows, ...]`` of several columns, always the same."""
        if not self._columns:
            self._columns = [one.new_empty((self.capacity, *one.shape[1:])) for one in columns]
        for row in range(len(columns[0])):
            place = self.seen
            if place >= self.capacity:
                place = int(torch.randint(self.seen + 1, (), generator=self._generator))
            if place < self.capacity:
                for kept, column in zip(self._columns, columns, strict=True):
                    kept[place] = column[row]
            self.seen += 1

    def draw(self, rows: int) -> list[Tensor]:
        """So many of them without repetition, or all where there are fewer: the columns."""
        chosen = torch.randperm(len(self), generator=self._generator)[:rows]
        return [kept[chosen] for kept in self._columns]

    def state(self) -> dict[str, Any]:
        return {"columns": [kept[: len(self)].clone() for kept in self._columns], "seen": self.seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.seen, self._columns = 0, []
        if state["columns"]:
            self.add(*state["columns"])
        self.seen = int(state["seen"])
