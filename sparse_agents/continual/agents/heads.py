"""Output layers that every task has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class OwnHeads:
    """Keeps the values that some parameters have for each task; they are swapped in place.

    Args:
        parameters: those of output layers, by name; none where all tasks share them.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = dict(parameters)
        self.first = self._now()
        self.kept: list[dict[str, Tensor]] = []

    def begin(self) -> None:
        """Every task begins with what the first began with."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.first[name])

    def end(self) -> None:
        """The task is over: its values are kept."""
        self.kept.append(self._now())

    def of(self, task: int | None) -> dict[nn.Parameter, Tensor]:
        """The values of a task that is over; nothing for others, whose values are in place."""
        if task is None or task >= len(self.kept):
            return {}
        return {self.parameters[name]: value for name, value in self.kept[task].items()}

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "kept": self.kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.first, self.kept = dict(state["first"]), list(state["kept"])

    def _now(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
