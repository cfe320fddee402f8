"""Which agents the native training step can train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from sparse_agents.ops.library import library
from sparse_agents.policies import CLASSES, SparsePolicyMixin
from sparse_agents.training.networks import stretch_of
from sparse_agents.training.optimizers import why_not as why_not_optimizer

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
    for name, network in networks.items():
        stretch = stretch_of(network)
        if stretch is None:
            yield f"{name} is more than linear layers with ReLU or tanh, or has hooks"
        elif stretch.chain().partial is not None:
            yield f"connections of {name} rest"
        elif any(not p.requires_grad for p in network.parameters()) and "target" not in name:
            yield f"parameters of {name} are frozen"
    kinds = {p.dtype for o, _ in optimizers.values() if o for group in o.param_groups for p in group["params"]}
    if len(kinds) > 1:
        yield f"its parameters are of several types, {', '.join(map(str, kinds))}"
    for name, (optimizer, hooks) in optimizers.items():
        assert optimizer is not None
        reason = why_not_optimizer(optimizer, hooks)
        if reason:
            yield f"{reason}, the {name}'s"
    for name, controller in policy.topology_controllers.items():
        if controller.rule.every_step:  # type: ignore[union-attr]
            yield f"the {name}'s topology rule works at every step"


def _about_observations(model: OffPolicyAlgorithm) -> Iterator[str]:
    space, extractor = model.observation_space, model.policy.features_extractor_class
    if not isinstance(space, spaces.Box) or not issubclass(extractor, FlattenExtractor):
        yield f"observations are {space}, by {extractor.__name__}"
    elif extractor is not FlattenExtractor:
        yield f"{extractor.__name__} may do more than flatten observations"


def _about_replay(model: OffPolicyAlgorithm) -> Iterator[str]:
    if type(model.replay_buffer) not in (ReplayBuffer, NStepReplayBuffer):
        yield f"its replay buffer is a {type(model.replay_buffer).__name__}"
