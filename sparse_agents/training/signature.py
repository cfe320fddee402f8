"""What a compiled step relies on, compared before each call of ``train()``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import is_
from typing import Any

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor, nn

from sparse_agents.nn import SparseLayer, sparse_layers
from sparse_agents.nn.sequential import MODULE_HOOKS
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.training.optimizers import steps_natively
from sparse_agents.training.replay import ARRAYS

COMPILED = (
    "betas", "eps", "weight_decay", "amsgrad", "maximize", "differentiable", "capturable", "decoupled_weight_decay",
)  # fmt: skip
"""Adam's settings that a step has as they were when it was compiled; the learning rate it takes anew."""


class Signature:
    """Of an agent: which objects there are, where tensors lie, who looks on.

    Objects are kept, so that none that comes later is taken for one that has gone. Every call of ``train()`` asks, so
    what is gone through is listed beforehand: a thing that is put into another's place is noticed there.

    Args:
        model: the agent.
        others: optimizers beside those of its policy.
        batch_size: of the step.
    """

    def __init__(self, model: OffPolicyAlgorithm, others: Mapping[str, torch.optim.Optimizer], batch_size: int) -> None:
        policy = model.policy
        assert isinstance(policy, SparsePolicyMixin)
        self.optimizers = {**optimizers_of(policy), **others}
        modules = [vars(module) for module in policy.modules()]
        self._contents: list[Mapping[Any, object]] = [
            module[kind] for module in modules for kind in ("_modules", "_parameters") if module[kind]
        ]
        for optimizer in filter(steps_natively, self.optimizers.values()):
            self._contents += [optimizer.state, *optimizer.state.values()]
        self._hooks = list(module_hooks(policy))
        self._layers = list(sparse_layers(policy).values())
        self._topologies = list({layer.topology: None for layer in self._layers})
        self._objects, self._edges = self._objects_of(model), self._edges_now()
        self._tensors = [thing for thing in self._objects if isinstance(thing, Tensor)]
        self._parameters = list(dict.fromkeys(one for one in self._tensors if isinstance(one, nn.Parameter)))
        self._values = self._values_of(model, batch_size)

    def holds(self, model: OffPolicyAlgorithm, batch_size: int) -> bool:
        """Whether all is as it was."""
        return _same(self._edges_now(), self._edges) and self._holds_otherwise(model, batch_size)

    def follow(self, model: OffPolicyAlgorithm, batch_size: int) -> bool:
        """Whether all is as it was but for connections, which from now on are to be as they are now."""
        self._edges = self._edges_now()
        return self._holds_otherwise(model, batch_size)

    def _holds_otherwise(self, model: OffPolicyAlgorithm, batch_size: int) -> bool:
        return _same(self._objects_of(model), self._objects) and self._values == self._values_of(model, batch_size)

    def _edges_now(self) -> list[object]:
        return [topology.edges for topology in self._topologies]

    def _objects_of(self, model: Any) -> list[object]:
        """Compared by identity."""
        buffer, settings = vars(model.replay_buffer), vars(model)
        found = [
            model.policy,
            model._vec_normalize_env,
            model.replay_buffer,
            settings.get("ent_coef_optimizer"),
            settings.get("log_ent_coef"),
            *map(buffer.get, ARRAYS),
            *optimizers_of(model.policy).values(),
        ]
        for contents in self._contents:
            found += contents.values()
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                found += group["params"]
        return found

    def _values_of(self, model: Any, batch_size: int) -> tuple[object, ...]:
        """Compared by value, where the objects are the same."""
        groups = [(optimizer, group) for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        return (
            batch_size,
            vars(model).get("target_update_interval"),
            [tensor.data_ptr() for tensor in self._tensors],
            [parameter.requires_grad for parameter in self._parameters],
            [group.get(name) for _, group in groups for name in COMPILED],
            [(*o._optimizer_step_pre_hooks, *o._optimizer_step_post_hooks) for o, _ in groups],
            [vars(layer).get("backend") for layer in self._layers],
            any(self._hooks),
            has_gradient_hooks(self._parameters, self._layers),
        )


def _same(these: Sequence[object], those: Sequence[object]) -> bool:
    return len(these) == len(those) and all(map(is_, these, those))


def optimizers_of(policy: SparsePolicyMixin) -> dict[str, torch.optim.Optimizer]:
    """Of its networks, by name."""
    return {name: optimizer for name, optimizer in policy.optimizers().items() if optimizer is not None}


def module_hooks(module: nn.Module) -> Iterator[Mapping[int, Any]]:
    """The dictionaries that hooks of a module, and of all below it, are in."""
    for part in module.modules():
        yield from (vars(part)[name] for name in MODULE_HOOKS)


def has_gradient_hooks(parameters: Sequence[Tensor], layers: Iterable[SparseLayer]) -> bool:
    """Whether somebody looks at gradients, or changes them, besides topology rules."""
    if any(parameter._backward_hooks for parameter in parameters):
        return True
    afterwards = sum(len(parameter._post_accumulate_grad_hooks or ()) for parameter in parameters)
    return afterwards > sum(layer.probe.armed for layer in layers)
