"""Synaptic intelligence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparse_agents.continual.methods.penalty import QuadraticPenalty
from sparse_agents.continual.network import Network


class SI(QuadraticPenalty):
    """A weight is held the more, the more of the loss's decrease its way has brought about.

    Zenke, Poole, Ganguli, "Continual Learning Through Synaptic Intelligence", ICML 2017, equations 4 and 5; official
    code github.com/ganguli-lab/pathint. The decrease is counted with the gradient of the task's own loss, without the
    penalty, and a negative one counts as none.

    Args:
        strength: of the penalty, ``c``; 0.1 with, 5000 without task identity in the literature on split MNIST.
        damping: ``ξ``.
    """

    def __init__(self, *args: Any, strength: float = 0.1, damping: float = 0.1, **kwargs: Any) -> None:
        super().__init__(*args, strength=strength, **kwargs)
        self.damping = damping
        self.path: dict[str, Tensor] = {}
        self.begin: dict[str, Tensor] = {}
        self._gradients: dict[str, tuple[Tensor, Tensor]] = {}

    def allocate(self, task: int) -> None:
        named = self.learner.parameters()
        self.path = {key: torch.zeros_like(parameter) for key, parameter in named.items()}
        self.begin = {key: parameter.detach().clone() for key, parameter in named.items()}

    def before_step(self, network: Network) -> None:
        for name, parameter in network.parameters():
            if parameter.grad is not None:
                self._gradients[network.key(name)] = parameter.grad.clone(), parameter.detach().clone()
        super().before_step(network)

    def after_step(self, network: Network) -> None:
        for name, parameter in network.parameters():
            key = network.key(name)
            if key in self._gradients:
                gradient, before = self._gradients.pop(key)
                self.path[key] -= gradient * (parameter.detach() - before)

    def consolidate(self, task: int) -> None:
        moved = {key: parameter.detach() - self.begin[key] for key, parameter in self.learner.parameters().items()}
        self.add({key: (self.path[key] / (way**2 + self.damping)).clamp(min=0) for key, way in moved.items()})

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "path": dict(self.path), "begin": dict(self.begin)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.path, self.begin = dict(state["path"]), dict(state["begin"])
