"""Who looks on as an optimizer steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container

import torch


class StepListener(ABC):
    """Has methods that are hooks on an optimizer's step, and says when they leave everything in its place."""

    @property
    @abstractmethod
    def quiet(self) -> bool:
        """Whether at the next step they want no more than parameters, ``.grad`` and the optimizer's state, and change
        them in place, if at all."""


def owners_of_hooks(optimizer: torch.optim.Optimizer, but: Container[int] = ()) -> list[object]:
    """Whose methods an optimizer's step calls; None for hooks that are nobody's method.

    Args:
        optimizer: whose.
        but: ids of hooks that are left out.
    """
    hooks = [*optimizer._optimizer_step_pre_hooks.items(), *optimizer._optimizer_step_post_hooks.items()]
    return list({getattr(hook, "__self__", None): None for key, hook in hooks if key not in but})
