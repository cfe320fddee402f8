"""What a compiled step relies on, compared before each call of ``train()``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import is_
from typing import Any

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor, nn

from sparse_agents.nn import SparseLayer, sparse_layers
from sparse_agents.nn.sequential import MODULE_HOOKS
from sparse_agents.policies import SparsePolicyMixin

ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
COMPILED = (
    "betas", "eps", "weight_decay", "amsgrad", "maximize", "differentiable", "capturable", "decoupled_weight_decay",
)  # fmt: skip
"""Adam's settings that a step has as they were when it was compiled; the learning rate it takes anew."""


class Signature:
    """Of an agent: which objects there are, where tensors lie, who looks on.

    Objects are kept, so that none that comes later is taken for one that has gone.

    Args:
        model: the agent.
        others: optimizers beside those of its policy.
        batch_size: of the step.
    """

    def __init__(self, model: OffPolicyAlgorithm, others: Mapping[str, torch.optim.Optimizer], batch_size: int) -> None:
        policy = model.policy
        assert isinstance(policy, SparsePolicyMixin)
        self.optimizers = {**optimizers_of(policy), **others}
        self._modules = [vars(module) for module in policy.modules()]
        self._hooks = list(module_hooks(policy))
        self._layers = list(sparse_layers(policy).values())
        self._topologies = list({layer.topology: None for layer in self._layers})
        self._objects = list(self._objects_of(model))
        self._values = list(self._values_of(batch_size))
        self._settings = self._settings_of(model)

    def holds(self, model: Any, batch_size: int) -> bool:
        """Whether all is as it was."""
        objects = list(self._objects_of(model))
        same = len(objects) == len(self._objects) and all(map(is_, objects, self._objects))
        return same and self._settings == self._settings_of(model) and self._values == list(self._values_of(batch_size))

    def _objects_of(self, model: Any) -> Iterator[object]:
        yield from (model.policy, model._vec_normalize_env, model.replay_buffer)
        buffer, settings = vars(model.replay_buffer), vars(model)
        yield from (buffer.get(name) for name in ARRAYS)
        yield from (settings.get("ent_coef_optimizer"), settings.get("log_ent_coef"))
        yield from optimizers_of(model.policy).values()
        for module in self._modules:
            yield from module["_modules"].values()
            yield from module["_parameters"].values()
        for optimizer in self.optimizers.values():
            for parameter in stepped(optimizer):
                state = optimizer.state.get(parameter, {})
                yield parameter
                yield from (state.get(name) for name in MOMENTS)
        yield from (topology.edges for topology in self._topologies)

    def _values_of(self, batch_size: int) -> Iterator[object]:
        """Of what was there to begin with; objects that have changed are noticed as such."""
        yield batch_size
        for thing in self._objects:
            if isinstance(thing, Tensor):
                yield thing.data_ptr()
                yield thing.requires_grad
        for optimizer in self.optimizers.values():
            yield from (group.get(name) for group in optimizer.param_groups for name in COMPILED)
            yield tuple(optimizer._optimizer_step_pre_hooks)
            yield tuple(optimizer._optimizer_step_post_hooks)
        yield from (vars(layer).get("backend") for layer in self._layers)
        yield any(self._hooks)
        parameters = [p for module in self._modules for p in module["_parameters"].values() if p is not None]
        yield has_gradient_hooks(parameters, self._layers)

    def _settings_of(self, model: Any) -> object:
        return vars(model).get("target_update_interval")


def stepped(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The parameters that it trains."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def optimizers_of(policy: SparsePolicyMixin) -> dict[str, torch.optim.Optimizer]:
    """Of its networks, by name."""
    return {name: optimizer for name, optimizer in policy.optimizers().items() if optimizer is not None}


def module_hooks(module: nn.Module) -> Iterator[Mapping[int, Any]]:
    """The dictionaries that hooks of a module, and of all below it, are in."""
    for part in module.modules():
        yield from (vars(part)[name] for name in MODULE_HOOKS)


def has_gradient_hooks(parameters: Iterable[Tensor], layers: Iterable[SparseLayer]) -> bool:
    """Whether somebody looks at gradients, or changes them, besides topology rules."""
    before = after = 0
    for parameter in parameters:
        before += bool(parameter._backward_hooks)
        after += len(parameter._post_accumulate_grad_hooks or ())
    return before > 0 or after > sum(layer.probe.armed for layer in layers)
