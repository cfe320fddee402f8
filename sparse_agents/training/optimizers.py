"""torch's Adam and Stable-Baselines3's Polyak averaging as operations of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import torch
from torch import Tensor

from sparse_agents.ops.program import Adam, Polyak


def adam_step(optimizer: torch.optim.Optimizer, gradients: Mapping[Tensor, Tensor]) -> Adam:
    """A step of Adam or AdamW that has taken one already: on the optimizer's own state, which stays true."""
    (group,) = optimizer.param_groups
    parameters: list[Tensor] = group["params"]
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
        step=[s["step"] for s in states],
    )
    return operation


def why_not(optimizer: torch.optim.Optimizer, known_hooks: Set[int], dtype: torch.dtype) -> str | None:
    """What keeps an optimizer from being one of :func:`adam_step`'s.

    Args:
        optimizer: to look at.
        known_hooks: ids of those on its step that are accounted for.
        dtype: of the networks.
    """
    name = type(optimizer).__name__
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return f"{name} is neither Adam nor AdamW"
    if len(optimizer.param_groups) != 1:
        return f"{name} has several parameter groups"
    group = optimizer.param_groups[0]
    for option in ("amsgrad", "maximize", "differentiable", "capturable"):
        if group.get(option):
            return f"{name} has {option}=True"
    if isinstance(group["lr"], Tensor) or isinstance(group["betas"][0], Tensor):
        return f"{name}'s settings are tensors"
    if any(not p.requires_grad for p in group["params"]):
        return f"{name} has frozen parameters"
    if any(p.dtype != dtype for p in group["params"]):
        return f"{name} has parameters of another type than {dtype}"
    states = {p: optimizer.state[p] for p in group["params"] if p in optimizer.state}
    if any(not _like(p, state) for p, state in states.items()):
        return f"{name}'s moments are not as its parameters"
    if any(state["step"].dtype != torch.float32 for state in states.values() if "step" in state):
        return f"{name} does not count its steps in float32"
    found = {*optimizer._optimizer_step_pre_hooks, *optimizer._optimizer_step_post_hooks}
    return f"{name}'s step has hooks" if found - known_hooks else None


def _like(parameter: Tensor, state: Mapping[str, Tensor]) -> bool:
    """Whether moments are of a parameter's type and shape, so that they can be gone through together."""
    moments = [state[name] for name in ("exp_avg", "exp_avg_sq") if name in state]
    same = all(m.dtype == parameter.dtype and m.shape == parameter.shape and m.is_contiguous() for m in moments)
    return same and parameter.is_contiguous()


def has_begun(optimizer: torch.optim.Optimizer) -> bool:
    """Whether there are moments for every parameter."""
    return all(optimizer.state.get(p) for group in optimizer.param_groups for p in group["params"])


def polyak_average(online: Sequence[Tensor], target: Sequence[Tensor], tau: float) -> Polyak:
    """``target = (1 - tau) target + tau online``."""
    operation: Polyak = Polyak.of(
        tensors=len(online),
        tau=tau,
        size=[p.numel() for p in online],
        online=list(online),
        target=list(target),
    )
    return operation
