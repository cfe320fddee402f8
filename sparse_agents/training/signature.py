"""What a compiled step relies on, in a form that is compared before each call of ``train()``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor, nn

from sparse_agents.nn import sparse_layers
from sparse_agents.policies import SparsePolicyMixin

MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
COMPILED = (
    "betas", "eps", "weight_decay", "amsgrad", "maximize", "differentiable", "capturable", "decoupled_weight_decay",
)  # fmt: skip
"""Adam's settings that a step has as they were when it was compiled; the learning rate it takes anew."""


class Signature:
    """Of an agent: where its tensors lie and who looks on.

    Args:
        model: the agent.
        others: optimizers beside those of its policy.
    """

    def __init__(self, model: OffPolicyAlgorithm, others: Mapping[str, torch.optim.Optimizer]) -> None:
        policy = model.policy
        assert isinstance(policy, SparsePolicyMixin)
        self.optimizers = {**optimizers_of(policy), **others}
        stepped = [p for o in self.optimizers.values() for group in o.param_groups for p in group["params"]]
        self._parameters: list[Tensor] = list(dict.fromkeys([*policy.parameters(), *stepped]))
        layers = sparse_layers(policy).values()
        self._topologies = list({layer.topology: None for layer in layers})
        self._layers = [vars(layer) for layer in layers]
        self._hooks = list(module_hooks(policy))

    def now(self, model: Any, batch_size: int) -> tuple[Any, ...]:
        """At every call of ``train()``, so only what can have changed between two."""
        buffer = vars(model.replay_buffer)
        policy, optimizers = model.policy, self.optimizers.values()
        states = [o.state.get(p, {}) for o in optimizers for p in o.param_groups[0]["params"]]
        return (
            batch_size,
            id(policy),
            id(model._vec_normalize_env),
            id(buffer),
            *[id(buffer.get(name)) for name in ARRAYS],
            *[id(o) for o in (*optimizers_of(policy).values(), vars(model).get("ent_coef_optimizer"))],
            *[parameter.data_ptr() for parameter in self._parameters],
            *[parameter.requires_grad for parameter in self._parameters],
            *[id(state.get(name)) for state in states for name in ("exp_avg", "exp_avg_sq")],
            *[id(topology.edges) for topology in self._topologies],
            *[layer.get("backend") for layer in self._layers],
            *[o.param_groups[0].get(name) for o in optimizers for name in COMPILED],
            *[len(o._optimizer_step_pre_hooks) + len(o._optimizer_step_post_hooks) for o in optimizers],
            any(self._hooks) or has_tensor_hooks(self._parameters),
        )


def optimizers_of(policy: SparsePolicyMixin) -> dict[str, torch.optim.Optimizer]:
    """Of its networks, by name."""
    return {name: optimizer for name, optimizer in policy.optimizers().items() if optimizer is not None}


def module_hooks(module: nn.Module) -> Iterator[Mapping[int, Any]]:
    """The dictionaries that hooks of a module, and of all below it, are in."""
    for part in module.modules():
        yield from (vars(part)[name] for name in MODULE_HOOKS)


def has_tensor_hooks(parameters: list[Tensor]) -> bool:
    """Whether somebody changes the gradient of one. Who looks at it afterwards is a topology rule."""
    return any(parameter._backward_hooks for parameter in parameters)
