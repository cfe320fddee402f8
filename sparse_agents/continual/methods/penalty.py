"""What methods have in common that hold weights near where earlier tasks left them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.network import Network
from sparse_agents.errors import ConfigurationError


class QuadraticPenalty(ContinualMethod):
    """Adds the gradient of ``strength Σ importance (weight - anchor)²`` before each step.

    To the gradient rather than to the loss, so that it works with every algorithm; where an algorithm clips gradients,
    the penalty is not clipped. Importances of tasks add up, and the anchor is where the last task ended.

    Args:
        strength: of the penalty.

    Attributes:
        importance, anchor: by network and name of the parameter; empty before the first task has ended.
    """

    def __init__(self, *args: Any, strength: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if strength < 0:
            raise ConfigurationError(f"strength={strength}: at least 0.")
        self.strength = strength
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}

    def before_step(self, network: Network) -> None:
        for name, parameter in network.parameters():
            key = network.key(name)
            if key in self.importance and parameter.grad is not None:
                away = parameter.detach() - self.anchor[key]
                parameter.grad.addcmul_(self.importance[key], away, value=2 * self.strength)

    def add(self, found: dict[str, Tensor]) -> None:
        """A task's importances; the anchor is set to where weights are now."""
        for key, parameter in self.learner.parameters().items():
            self.importance[key] = self.importance.get(key, torch.zeros_like(parameter)) + found[key]
            self.anchor[key] = parameter.detach().clone()

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "importance": dict(self.importance), "anchor": dict(self.anchor)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.importance, self.anchor = dict(state["importance"]), dict(state["anchor"])
