"""Which agents the native training step can train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor
from torch import nn
from torch.utils.hooks import RemovableHandle

from sparse_agents.control import StepListener, TopologyController, owners_of_hooks
from sparse_agents.nn import sparse_layers
from sparse_agents.ops import MAX_LAYERS
from sparse_agents.ops.cuda import no_kernels
from sparse_agents.ops.library import library
from sparse_agents.ops.program import MAX_CRITICS
from sparse_agents.policies import CLASSES, SparsePolicyMixin
from sparse_agents.training.networks import stretch_of
from sparse_agents.training.optimizers import steps_natively, trained
from sparse_agents.training.replay import ARRAYS
from sparse_agents.training.signature import has_gradient_hooks, module_hooks

Networks = Mapping[str, nn.Module]
Optimizers = Mapping[str, torch.optim.Optimizer]


def why_not(
    model: OffPolicyAlgorithm, networks: Networks, optimizers: Optimizers, own_hooks: Sequence[RemovableHandle]
) -> str | None:
    """What keeps an agent from being trained by a native step, or None.

    Args:
        model: the agent.
        networks: those that its update runs, by name.
        optimizers: of them, and others.
        own_hooks: of the algorithm, on the optimizers' steps.
    """
    return next((reason for reason in _reasons(model, networks, optimizers, own_hooks)), None)


def _reasons(
    model: OffPolicyAlgorithm, networks: Networks, optimizers: Optimizers, own_hooks: Sequence[RemovableHandle]
) -> Iterator[str]:
    policy = model.policy
    if not isinstance(policy, SparsePolicyMixin) or type(policy) not in CLASSES.values():
        yield f"{type(policy).__name__} is not one of sparse_agents.policies"
        return
    yield from _about_device(model, optimizers)
    if model.use_sde:
        yield "it explores by gSDE"
    yield from _about_observations(model)
    yield from _about_replay(model)
    yield from _about_networks(model, networks)
    dtype = next(policy.parameters()).dtype
    controllers = cast(Mapping[str, TopologyController], policy.topology_controllers)
    known = {handle.id for handle in own_hooks}
    for name, optimizer in optimizers.items():
        if not all(isinstance(owner, StepListener) for owner in owners_of_hooks(optimizer, but=known)):
            yield f"the step of the {name}'s optimizer has hooks"
        if any(parameter.dtype != dtype for parameter in trained(optimizer)):
            yield f"the {name}'s optimizer has parameters of another type than {dtype}"
    for name, controller in controllers.items():
        if not controller.listens_to(optimizers[name]):
            yield f"the {name}'s optimizer is another than its topology follows (attach its controller to it)"
        if controller.rule.every_step:
            yield f"the {name}'s topology rule works at every step"
    if vars(model).get("target_update_interval", 1) != 1:
        yield "its targets are not averaged at every step"


def _about_device(model: OffPolicyAlgorithm, optimizers: Optimizers) -> Iterator[str]:
    if model.device.type == "cpu":
        if library() is None:
            yield "there are no kernels"
        return
    if model.device.type != "cuda":
        yield f"it is on {model.device}"
        return
    reason = no_kernels(model.device)
    if reason is not None:
        yield reason
    if any(parameter.dtype != torch.float32 for parameter in model.policy.parameters()):
        yield f"its parameters are not float32, and it is on {model.device}"
    for name, optimizer in optimizers.items():
        if not steps_natively(optimizer):
            yield f"the {name}'s optimizer is not torch's Adam, and it is on {model.device}"


def _about_networks(model: Any, networks: Mapping[str, nn.Module]) -> Iterator[str]:
    for name, network in networks.items():
        stretch = stretch_of(network)
        if not sparse_layers(network):
            yield f"{name} has no sparse layer"
        elif stretch is None:
            yield f"{name} is more than linear layers with ReLU or tanh"
        elif stretch.chain().partial is not None:
            yield f"connections of {name} rest"
        elif len(stretch.layers) == MAX_LAYERS:
            yield f"{name} has {MAX_LAYERS} layers or more"
    for name, target in model.policy.targets().items():
        online, averaged = (sparse_layers(getattr(model.policy, which)).values() for which in (name, target))
        if any(one.topology is not other.topology for one, other in zip(online, averaged, strict=True)):
            yield f"the {target.replace('_', ' ')} has connections of its own"
    for network in (model.actor, model.critic, model.critic_target):
        if type(network) not in (TD3Actor, SACActor, ContinuousCritic):
            yield f"its {type(network).__name__} may do more than Stable-Baselines3's"
    parameters = list(model.policy.parameters())
    layers = sparse_layers(model.policy).values()
    if any(module_hooks(model.policy)) or has_gradient_hooks(parameters, layers):
        yield "there are hooks on its modules or parameters"
    if len(model.critic.q_networks) > MAX_CRITICS:
        yield f"it has more than {MAX_CRITICS} critics"
    kinds = {parameter.dtype for parameter in parameters}
    if len(kinds) > 1:
        yield f"its parameters are of several types, {', '.join(map(str, kinds))}"
    if not all(parameter.is_contiguous() for parameter in parameters):
        yield "some of its parameters do not lie in one piece"


def _about_observations(model: OffPolicyAlgorithm) -> Iterator[str]:
    space, extractor = model.observation_space, model.policy.features_extractor_class
    if not isinstance(space, spaces.Box) or not issubclass(extractor, FlattenExtractor):
        yield f"observations are {space}, by {extractor.__name__}"
    elif extractor is not FlattenExtractor:
        yield f"{extractor.__name__} may do more than flatten observations"


def _about_replay(model: OffPolicyAlgorithm) -> Iterator[str]:
    buffer = model.replay_buffer
    if type(buffer) not in (ReplayBuffer, NStepReplayBuffer):
        yield f"its replay buffer is a {type(buffer).__name__}"
        return
    for name in ARRAYS:
        array = vars(buffer).get(name)
        if array is None:
            continue
        if array.dtype not in (np.float32, np.float64):
            yield f"{name} are {array.dtype}"
        elif not array.flags.c_contiguous:
            yield f"{name} do not lie in one piece"
