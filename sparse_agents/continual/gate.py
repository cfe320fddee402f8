"""Keeps parts of parameters as they are, whatever an optimizer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.control import StepListener


class Gate(StepListener):
    """Lets an optimizer's steps through to some elements of its parameters only.

    Before a step the gradients of closed elements are set to zero, so that they count in no norm and no moment; after
    it their values are put back, for momentum and weight decay move what has no gradient.

    Args:
        optimizer: to listen to.

    Attributes:
        open: bool masks of the parameters' shapes; a parameter without one is open as a whole.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.open: Mapping[Any, Tensor] = {}
        self._saved: dict[nn.Parameter, tuple[Tensor, Tensor]] = {}
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def quiet(self) -> bool:
        return True

    def is_open(self, parameter: Tensor) -> Tensor:
        """Bool, of the parameter's shape."""
        mask = self.open.get(parameter)
        return torch.ones_like(parameter, dtype=torch.bool) if mask is None else mask

    def remove(self) -> None:
        """Stop listening."""
        for handle in self._handles:
            handle.remove()

    def _before_step(self, *_: Any) -> None:
        self._saved = {}
        for parameter, mask in self.open.items():
            closed = (~mask).reshape(-1).nonzero().squeeze(1)
            self._saved[parameter] = closed, parameter.data.reshape(-1)[closed]
            if parameter.grad is not None:
                parameter.grad.mul_(mask)

    def _after_step(self, *_: Any) -> None:
        for parameter, (closed, values) in self._saved.items():
            parameter.data.view(-1)[closed] = values
        self._saved = {}
