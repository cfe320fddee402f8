"""Products of a loss's Hessian with its own gradient, taken while the user's backward runs."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _BackwardCalls(TorchFunctionMode):
    """Tells armed probes of every ``loss.backward()``, before it frees the graph. Entered while one is armed."""

    def __init__(self) -> None:
        super().__init__()
        self.probes: weakref.WeakSet[CurvatureProbe] = weakref.WeakSet()
        self._entered = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.backward:
            for probe in tuple(self.probes):
                probe.watch(args[0])
        return func(*args, **(kwargs or {}))

    def add(self, probe: CurvatureProbe) -> None:
        self.probes.add(probe)
        if not self._entered:
            self.__enter__()
            self._entered = True

    def remove(self, probe: CurvatureProbe) -> None:
        self.probes.discard(probe)
        self.leave_if_idle()

    def leave_if_idle(self) -> None:
        innermost = torch.overrides._get_current_function_mode() is self
        if self._entered and innermost and not list(self.probes):  # else it stays, with nobody to tell
            self.__exit__(None, None, None)
            self._entered = False


_CALLS = _BackwardCalls()


class CurvatureProbe:
    """While armed, catches H g of some weights: H the Hessian and g the gradient of the loss that goes backward.

    Like a weight's ``.grad``, the products add up until the gradients are zeroed.
    """

    def __init__(self) -> None:
        self.products: list[Tensor] | None = None
        self._weights: Sequence[Tensor] = ()
        weakref.finalize(self, _CALLS.leave_if_idle).atexit = False

    @property
    def armed(self) -> bool:
        return bool(self._weights)

    def arm(self, weights: Sequence[Tensor]) -> None:
        """Catch from the next backward on. ``weights``: leaves of the graph."""
        self.disarm()
        if weights:
            self._weights = tuple(weights)
            _CALLS.add(self)

    def disarm(self) -> None:
        if self._weights:
            _CALLS.remove(self)
        self._weights, self.products = (), None

    def watch(self, loss: Tensor) -> None:
        """A loss is about to go backward."""
        if not loss.requires_grad:
            return
        gradients = torch.autograd.grad(loss.sum(), self._weights, create_graph=True, allow_unused=True)
        reached = [g for g in gradients if g is not None]
        if not reached:
            return
        if self.products is None or all(w.grad is None or not bool(w.grad.any()) for w in self._weights):
            self.products = [torch.zeros_like(w) for w in self._weights]
        product = torch.stack([(g * g.detach()).sum() for g in reached]).sum()
        if not product.requires_grad:  # the loss is linear in the weights
            return
        found = torch.autograd.grad(product, self._weights, retain_graph=True, allow_unused=True)
        for total, part in zip(self.products, found, strict=True):
            if part is not None:
                total += part

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        CurvatureProbe.__init__(self)
