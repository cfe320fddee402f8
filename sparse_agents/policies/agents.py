"""Between dense agents and sparse ones: whole algorithms, with their optimizers and what they have learned."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, TypeVar, cast, overload

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from sparse_agents.control import is_like
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLayer, UnrolledLSTM, sparse_layers, torch_name
from sparse_agents.nn import densify as densify_module
from sparse_agents.policies.base import SparsePolicyMixin
from sparse_agents.policies.registry import ALIASES, CLASSES

Agent = TypeVar("Agent", bound=BaseAlgorithm)

AS_IT_WAS: Mapping[str, Any] = {
    "initial_topology": "magnitude",
    "weight_init": "inherit",
    "layer_norm": (),
    "learning_rate_scale": 1.0,
}
"""Options that leave an agent what it is, but for connections."""


def sparsify_agent(model: Agent, **options: Any) -> Agent:
    """Make a dense agent sparse, in place: weights, target networks, and the optimizers' moments of what stays.

    Each layer keeps its largest weights as they are, and the topology goes on from there.

    Args:
        model: an agent with a policy of Stable-Baselines3's or sb3-contrib's own, trained or not.
        options: as in ``policy_kwargs`` of a sparse policy, see :class:`SparsePolicyMixin`;
            :data:`AS_IT_WAS` by default.

    Returns:
        The same model.

    Raises:
        ConfigurationError: for bad options, or a policy that has no sparse counterpart.
    """
    counterpart = _counterpart(model)
    given = {**AS_IT_WAS, **options}
    counterpart.adopt(model.policy, **given)
    model.policy_class = counterpart  # type: ignore[assignment]
    model.policy_kwargs = {**(model.policy_kwargs or {}), **given}
    counterpart.parameters_changed(model)
    return model


def densify_agent(model: BaseAlgorithm) -> BaseAlgorithm:
    """A plain agent of Stable-Baselines3 that acts as a sparse one, absent connections stored as zeros.

    It can be trained on, densely: moments come along, environment and replay buffer are shared. The sparse agent
    stays as it is.

    Raises:
        ConfigurationError: where the policy is not sparse, or has LayerNorm, which Stable-Baselines3's have not.
    """
    policy = model.policy
    if not isinstance(policy, SparsePolicyMixin):
        raise ConfigurationError(f"{type(policy).__name__} is not a sparse policy.")
    if type(policy) not in CLASSES.values():
        raise ConfigurationError(
            f"{type(policy).__name__} is a policy of your own, and which dense one is its like cannot be told. "
            "sparse_agents.densify(model.policy.actor) and its like make dense copies of parts."
        )
    if policy.sparse_options()["layer_norm"]:
        raise ConfigurationError(
            f"{policy.dense_class().__name__} has no LayerNorm, and this policy has layer_norm, by default where "
            "critics are at 95% sparsity or more (layer_norm=[] when it is made has none). Of parts, "
            "sparse_agents.densify(model.policy.actor) and its like make dense copies; sparse-agents export has other "
            "formats."
        )
    ours = __name__.partition(".")[0]
    algorithm: Any = next(kind for kind in type(model).__mro__ if kind.__module__.partition(".")[0] != ours)
    twin = algorithm(policy=policy.dense_class(), env=None, device=model.device, _init_setup_model=False)
    given = {key: value for key, value in (model.policy_kwargs or {}).items() if key not in policy.sparse_options()}
    data = {**copy.deepcopy(attributes_of(model)), "policy_class": policy.dense_class(), "policy_kwargs": given}
    vars(twin).update(data, seed=None)  # setting up with a seed would seed every generator anew
    with torch.random.fork_rng(devices=[]):
        twin._setup_model()
    vars(twin).update(data)
    twin.set_parameters(_dense_parameters(model, twin), exact_match=True, device=model.device)
    for name in model._get_torch_save_params()[1]:
        if getattr(model, name) is not None:
            getattr(twin, name).data = getattr(model, name).detach().clone()
    policy.parameters_changed(twin)
    if model.env is not None:
        twin.set_env(model.env, force_reset=False)
    if isinstance(model, OffPolicyAlgorithm):
        twin.replay_buffer = model.replay_buffer
    return cast("BaseAlgorithm", twin)


def attributes_of(model: BaseAlgorithm) -> dict[str, Any]:
    """What Stable-Baselines3 would save of an agent beside its tensors."""
    state_dicts, variables = model._get_torch_save_params()
    tensors = {name.partition(".")[0] for name in (*state_dicts, *variables)}
    excluded = {*model._excluded_save_params(), *tensors}
    return {key: value for key, value in vars(model).items() if key not in excluded}


def _dense_parameters(model: BaseAlgorithm, twin: BaseAlgorithm) -> dict[str, Any]:
    """The state of policy and optimizers, for a plain agent."""
    layers = {layer.weight: layer for layer in sparse_layers(model.policy).values()}
    found: dict[str, Any] = {}
    for name, state in model.get_parameters().items():
        if name == "policy":
            named = list(model.policy.named_modules(remove_duplicate=False))
            dense = {f"{n}.weight": m.to_dense().weight.detach() for n, m in named if isinstance(m, SparseLayer)}
            values = {**state, **dense}
            for prefix, lstm in [(n, m) for n, m in named if isinstance(m, UnrolledLSTM)]:
                for key, _ in lstm.named_parameters():
                    values[f"{prefix}.{torch_name(key)}"] = values[f"{prefix}.{key}"]
            found[name] = {key: values[key] for key in twin.policy.state_dict()}
            continue
        optimizer: torch.optim.Optimizer = attrgetter(name)(model)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        moments = {index: _dense_state(entry, layers.get(parameters[index])) for index, entry in state["state"].items()}
        found[name] = {**state, "state": moments}
    return found


def _dense_state(entry: Mapping[str, Any], layer: SparseLayer | None) -> dict[str, Any]:
    """What an optimizer holds of one parameter, spread out where it is of connections."""
    if layer is None:
        return dict(entry)
    shape = layer.to_dense().weight.shape
    return {
        key: layer.topology.edges.dense(value).view(shape) if is_like(value, layer.weight) else value
        for key, value in entry.items()
    }


@overload
def densify(model: BaseAlgorithm) -> BaseAlgorithm: ...


@overload
def densify(model: nn.Module) -> nn.Module: ...


def densify(model: BaseAlgorithm | nn.Module) -> BaseAlgorithm | nn.Module:
    """A copy with every sparse layer dense again, computing the same function: of a module, or of a whole agent."""
    return densify_agent(model) if isinstance(model, BaseAlgorithm) else densify_module(model)


def _counterpart(model: BaseAlgorithm) -> type[SparsePolicyMixin]:
    if not isinstance(model, BaseAlgorithm):
        raise ConfigurationError(
            f"{type(model).__name__} is no agent of Stable-Baselines3, which sparsify_agent() takes."
        )
    if isinstance(model.policy, SparsePolicyMixin):
        raise ConfigurationError(f"{type(model.policy).__name__} is sparse already.")
    for algorithm, aliases in ALIASES.items():
        for counterpart in aliases.values():
            if isinstance(model, algorithm) and counterpart.dense_class() is type(model.policy):
                return counterpart
    raise ConfigurationError(
        f"{type(model.policy).__name__} of {type(model).__name__} has no sparse counterpart. There is one for every "
        "policy that Stable-Baselines3 and sb3-contrib have a name for."
    )
