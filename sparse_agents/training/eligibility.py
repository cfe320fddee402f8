"""Which agents the native training step can train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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

from sparse_agents.ops.library import library
from sparse_agents.ops.program import MAX_CRITICS
from sparse_agents.policies import CLASSES, SparsePolicyMixin
from sparse_agents.training.networks import stretch_of
from sparse_agents.training.optimizers import why_not as why_not_optimizer
from sparse_agents.training.signature import has_tensor_hooks, module_hooks

HOOKS_OF_A_CONTROLLER = 2


Optimizers = Mapping[str, tuple[torch.optim.Optimizer | None, int]]


def why_not(model: OffPolicyAlgorithm, networks: Mapping[str, nn.Module], optimizers: Optimizers) -> str | None:
    """What keeps an agent from being trained by a native step, or None.

    Args:
        model: the agent.
        networks: those that its update runs, by name.
        optimizers: with the number of hooks on each one's step that are accounted for.
    """
    return next((reason for reason in _reasons(model, networks, optimizers)), None)


def _reasons(model: OffPolicyAlgorithm, networks: Mapping[str, nn.Module], optimizers: Optimizers) -> Iterator[str]:
    if library() is None:
        yield "there are no kernels"
    if model.device.type != "cpu":
        yield f"it is on {model.device}"
    policy = model.policy
    if not isinstance(policy, SparsePolicyMixin) or type(policy) not in CLASSES.values():
        yield f"{type(policy).__name__} is not one of sparse_agents.policies"
        return
    if model.use_sde:
        yield "it explores by gSDE"
    yield from _about_observations(model)
    yield from _about_replay(model)
    yield from _about_networks(model, networks)
    for name, (optimizer, hooks) in optimizers.items():
        assert optimizer is not None
        reason = why_not_optimizer(optimizer, hooks)
        if reason:
            yield f"{reason}, the {name}'s"
    for name, controller in policy.topology_controllers.items():
        if controller.rule.every_step:  # type: ignore[union-attr]
            yield f"the {name}'s topology rule works at every step"


def _about_networks(model: Any, networks: Mapping[str, nn.Module]) -> Iterator[str]:
    for name, network in networks.items():
        stretch = stretch_of(network)
        if stretch is None:
            yield f"{name} is more than linear layers with ReLU or tanh"
        elif stretch.chain().partial is not None:
            yield f"connections of {name} rest"
    for network in (model.actor, model.critic, model.critic_target):
        if type(network) not in (TD3Actor, SACActor, ContinuousCritic):
            yield f"its {type(network).__name__} may do more than Stable-Baselines3's"
    parameters = list(model.policy.parameters())
    if any(module_hooks(model.policy)) or has_tensor_hooks(parameters):
        yield "there are hooks on its modules or parameters"
    if len(model.critic.q_networks) > MAX_CRITICS:
        yield f"it has more than {MAX_CRITICS} critics"
    kinds = {parameter.dtype for parameter in parameters}
    if len(kinds) > 1:
        yield f"its parameters are of several types, {', '.join(map(str, kinds))}"


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
    for name in ("observations", "actions"):
        if vars(buffer)[name].dtype not in (np.float32, np.float64):
            yield f"{name} are {vars(buffer)[name].dtype}"
