"""Optimizer steps and Stable-Baselines3's Polyak averaging as parts of a program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType

import torch
from torch import Tensor

from sparse_agents.control import LearningRateScale, StepListener, TopologyController, owners_of_hooks
from sparse_agents.ops.program import Adam, Polyak, Step


class OptimizerStep(ABC):
    """One step of an optimizer.

    Args:
        optimizer: none of whose hooks moves a tensor.
        gradients: of all it trains, by parameter.
        targets: of parameters, which become averages.

    Attributes:
        steps: of a program.
        averaging: the same, and Stable-Baselines3's Polyak averaging, by :meth:`average_by`, of what they leave.
    """

    steps: Sequence[Step]
    averaging: Sequence[Step]

    @abstractmethod
    def __init__(
        self, optimizer: torch.optim.Optimizer, gradients: Mapping[Tensor, Tensor], targets: Mapping[Tensor, Tensor]
    ) -> None: ...

    @abstractmethod
    def configure(self) -> None:
        """The learning rate may have changed."""

    def average_by(self, tau: float) -> None:
        """``target = (1 - tau) target + tau online``."""
        for step in self.averaging:
            if isinstance(step, Adam | Polyak):
                step.tau = tau

    @abstractmethod
    def taken(self) -> None:
        """After the program has run."""

    @abstractmethod
    def follow(self) -> None:
        """After a step that the optimizer has taken by itself."""


class NativeAdam(OptimizerStep):
    """Of torch's Adam or AdamW that has taken one already: on its own state, which stays true.

    Learning rates are scaled as hooks would do, and topology controllers count the step afterwards; nobody else's hooks
    are called.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, gradients: Mapping[Tensor, Tensor], targets: Mapping[Tensor, Tensor]
    ) -> None:
        self._groups = optimizer.param_groups
        own = {parameter: optimizer.state[parameter]["step"] for parameter in trained(optimizer)}
        counts = {parameter: count.to(parameter.device) for parameter, count in own.items()}  # torch's are the host's
        self._counts = [(count, counts[p]) for p, count in own.items() if count is not counts[p]]
        self._adams = [
            [_adam(optimizer, index, gradients, counts, chosen) for index in range(len(self._groups))]
            for chosen in ({}, targets)
        ]
        self.steps, averaging = self._adams
        self.averaging = [*averaging, *_averages({p: one for p, one in targets.items() if p not in own})]
        listeners = owners_of_hooks(optimizer)
        self._controllers = [one for one in listeners if isinstance(one, TopologyController)]
        self._scale = prod(one.factor for one in listeners if isinstance(one, LearningRateScale))

    def configure(self) -> None:
        for adams in self._adams:
            for operation, group in zip(adams, self._groups, strict=True):
                operation.learning_rate = self._scale * group["lr"]

    def taken(self) -> None:
        if self._counts:
            torch._foreach_add_([own for own, _ in self._counts], 1)
        for controller in self._controllers:
            controller.advance()

    def follow(self) -> None:
        for own, counted in self._counts:
            counted.copy_(own)


class OwnStep(OptimizerStep):
    """Of any optimizer, by its own ``step()``, with all hooks on it."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, gradients: Mapping[Tensor, Tensor], targets: Mapping[Tensor, Tensor]
    ) -> None:
        self._optimizer = optimizer
        self._gradients = [(parameter, gradients[parameter].view_as(parameter)) for parameter in trained(optimizer)]
        self.steps = [self._step]
        self.averaging = [*self.steps, *_averages(targets)]

    def _step(self) -> None:
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        self._optimizer.step()

    def configure(self) -> None:
        """It looks for itself."""

    def taken(self) -> None:
        """The hooks have been told."""

    def follow(self) -> None:
        """There is nothing of it here."""


def optimizer_step(
    optimizer: torch.optim.Optimizer,
    gradients: Mapping[Tensor, Tensor],
    targets: Mapping[Tensor, Tensor] = MappingProxyType({}),
) -> OptimizerStep:
    """The fastest that does what the optimizer's own would; see :class:`OptimizerStep`."""
    return (NativeAdam if steps_natively(optimizer) else OwnStep)(optimizer, gradients, targets)


def trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Its parameters, but for those that are frozen."""
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]


def steps_natively(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer is one of :class:`NativeAdam`'s, once it has begun."""
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return False
    listeners = [owner for owner in owners_of_hooks(optimizer) if isinstance(owner, StepListener)]
    if not all(isinstance(listener, TopologyController | LearningRateScale) for listener in listeners):
        return False
    groups = optimizer.param_groups
    if any(group.get(option) for group in groups for option in ("amsgrad", "maximize", "differentiable", "capturable")):
        return False
    if any(isinstance(value, Tensor) for group in groups for value in (group["lr"], *group["betas"])):
        return False
    states = {p: optimizer.state[p] for p in trained(optimizer) if p in optimizer.state}
    counted = all(state["step"].dtype == torch.float32 for state in states.values() if "step" in state)
    return counted and all(_like(p, state) for p, state in states.items())


def _adam(
    optimizer: torch.optim.Optimizer,
    index: int,
    gradients: Mapping[Tensor, Tensor],
    counts: Mapping[Tensor, Tensor],
    targets: Mapping[Tensor, Tensor],
) -> Adam:
    """Of one of its groups."""
    group = optimizer.param_groups[index]
    parameters = [p for p in group["params"] if p.requires_grad]
    states = [optimizer.state[p] for p in parameters]
    operation: Adam = Adam.of(
        decoupled=int(isinstance(optimizer, torch.optim.AdamW) or group.get("decoupled_weight_decay", False)),
        tensors=len(parameters),
        learning_rate=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        epsilon=group["eps"],
        weight_decay=group["weight_decay"],
        size=[p.numel() for p in parameters],
        value=parameters,
        grad=[gradients[p] for p in parameters],
        moment1=[s["exp_avg"] for s in states],
        moment2=[s["exp_avg_sq"] for s in states],
        step=[counts[p] for p in parameters],
        **({"target": [targets.get(p) for p in parameters]} if targets else {}),
    )
    return operation


def _like(parameter: Tensor, state: Mapping[str, Tensor]) -> bool:
    """Whether moments are of a parameter's type and shape, so that they can be gone through together."""
    moments = [state[name] for name in ("exp_avg", "exp_avg_sq") if name in state]
    same = all(m.dtype == parameter.dtype and m.shape == parameter.shape and m.is_contiguous() for m in moments)
    return same and parameter.is_contiguous()


def has_begun(optimizer: torch.optim.Optimizer) -> bool:
    """Whether there are moments for every parameter."""
    return all(optimizer.state.get(p) for p in trained(optimizer))


def _averages(targets: Mapping[Tensor, Tensor]) -> list[Step]:
    """Of parameters that no kernel trains."""
    size = [parameter.numel() for parameter in targets]
    if not size:
        return []
    return [Polyak.of(tensors=len(size), size=size, online=list(targets), target=list(targets.values()))]
