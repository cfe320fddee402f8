"""A network of its own for every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from sparse_agents.continual.method import ContinualMethod


class Single(ContinualMethod):
    """Each task starts from fresh weights, and its network is kept. Nothing is forgotten, and nothing transferred."""

    needs_identity = True
    never_forgets = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: list[dict[str, Tensor]] = []

    def allocate(self, task: int) -> None:
        if task > 0:
            self.learner.start_afresh(task)

    def consolidate(self, task: int) -> None:
        self.kept.append({name: parameter.detach().clone() for name, parameter in self.learner.parameters().items()})

    def shown(self, task: int | None) -> tuple[Mapping[Any, Tensor], Mapping[nn.Parameter, Tensor]]:
        if task is None or task >= len(self.kept):
            return {}, {}
        parameters = self.learner.parameters()
        return {}, {parameters[name]: value for name, value in self.kept[task].items()}

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "kept": self.kept}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.kept = list(state["kept"])
