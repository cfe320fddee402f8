"""What an agent does with an observation, without the agent."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor, nn

from sparse_agents.errors import ConfigurationError


class Acting(nn.Module):
    """From observations to the actions that ``predict(observation, deterministic=True)`` gives.

    Args:
        scale: what is done to observations first, such as :class:`Normalized`.
        stages: one after the other, from the features extractor to what is said of actions.
        decide: from that to actions.

    Attributes:
        observation_space: Box or MultiBinary.
        action_space: any that Stable-Baselines3 knows.
    """

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], scale: nn.Module,
        stages: Sequence[nn.Module], decide: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__()
        self.observation_space, self.action_space = observation_space, action_space
        self.scale, self.decide = scale, decide
        self.stages = nn.Sequential(*stages)

    def forward(self, observations: Tensor) -> Tensor:
        """``[batch, *observation]`` -> ``[batch, *action]``, of a discrete action ``[batch]``."""
        actions: Tensor = self.decide(self.stages(self.scale(observations)))
        return actions


class Scaled(nn.Module):
    """Observations as float32, divided by a number: 255 of images."""

    def __init__(self, divisor: float) -> None:
        super().__init__()
        self.divisor = divisor

    def forward(self, x: Tensor) -> Tensor:
        return x.float() if self.divisor == 1 else x.float() / self.divisor


class Normalized(nn.Module):
    """Observations as ``VecNormalize`` gives them to an agent."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: VecNormalize) -> None:
        super().__init__()
        rms = statistics.obs_rms
        if isinstance(rms, dict):
            raise ConfigurationError("Observations are a dictionary, which cannot be exported.")
        deviation = np.sqrt(rms.var + statistics.epsilon)
        self.clip: float = statistics.clip_obs
        self.register_buffer("mean", torch.as_tensor(rms.mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return ((x.float() - self.mean) / self.deviation).clamp(-self.clip, self.clip)


class Rescaled(nn.Module):
    """From -1..1 to the bounds of the action space."""

    low: Tensor
    high: Tensor

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(space.low))
        self.register_buffer("high", torch.as_tensor(space.high))

    def forward(self, x: Tensor) -> Tensor:
        return self.low + 0.5 * (x + 1.0) * (self.high - self.low)


class Clipped(Rescaled):
    """Within the bounds of the action space."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, self.low), self.high)


class Largest(nn.Module):
    """The index of the largest of some numbers, or of the means of several groups of them one behind the other."""

    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.groups, -1)).mean(1).argmax(1) if self.groups > 1 else x.argmax(1)


class LargestOfEach(nn.Module):
    """The index of the largest within each of several groups of numbers."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part.argmax(1) for part in x.split(self.sizes, dim=1)], dim=1)


class Positive(nn.Module):
    """1 where a number is positive, else 0."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(torch.int8)


def acting_of(model: BaseAlgorithm, statistics: VecNormalize | None = None) -> Acting:
    """A copy of the part of an agent that acts, on the CPU.

    Args:
        model: of an algorithm of Stable-Baselines3 or sb3-contrib, sparse or dense.
        statistics: what it normalises observations by.

    Raises:
        ConfigurationError: for algorithms and spaces that are not known here.
    """
    find = next((_STAGES[kind.__name__] for kind in type(model).__mro__ if kind.__name__ in _STAGES), None)
    if find is None:
        raise ConfigurationError(f"{type(model).__name__} cannot be exported. What can: {', '.join(sorted(_STAGES))}.")
    observations = model.observation_space
    if not isinstance(observations, spaces.Box | spaces.MultiBinary):
        raise ConfigurationError(f"Observations {observations} cannot be exported: a Box or MultiBinary can.")
    policy: Any = model.policy
    stages = copy.deepcopy(find(policy))
    image = is_image_space(observations) and policy.normalize_images
    scale = Scaled(255.0 if image else 1.0) if statistics is None or not statistics.norm_obs else Normalized(statistics)
    acting = Acting(observations, model.action_space, scale, stages, _decision(model.action_space, policy))
    return acting.cpu().requires_grad_(False).eval()


def _decision(space: spaces.Space[Any], policy: Any) -> nn.Module:
    if isinstance(space, spaces.Box):
        return Rescaled(space) if policy.squash_output else Clipped(space)
    if isinstance(space, spaces.Discrete):
        return Largest(getattr(policy, "n_quantiles", 1))
    if isinstance(space, spaces.MultiDiscrete):
        return LargestOfEach(space.nvec.tolist())
    return Positive()


def _deterministic(policy: Any) -> list[nn.Module]:
    return [policy.actor.features_extractor, policy.actor.mu]


def _squashed_gaussian(policy: Any) -> list[nn.Module]:
    actor = policy.actor
    return [actor.features_extractor, actor.latent_pi, actor.mu, nn.Tanh()]


def _on_policy(policy: Any) -> list[nn.Module]:
    last = [policy.action_net, nn.Tanh()] if policy.squash_output else [policy.action_net]
    return [policy.pi_features_extractor, policy.mlp_extractor.policy_net, *last]


def _action_values(policy: Any) -> list[nn.Module]:
    return [policy.q_net.features_extractor, policy.q_net.q_net]


def _quantiles(policy: Any) -> list[nn.Module]:
    return [policy.quantile_net.features_extractor, policy.quantile_net.quantile_net]


def _searched(policy: Any) -> list[nn.Module]:
    return [policy.features_extractor, policy.action_net]


_STAGES: Mapping[str, Callable[[Any], list[nn.Module]]] = {
    "TD3": _deterministic,
    "SAC": _squashed_gaussian,
    "TQC": _squashed_gaussian,
    "CrossQ": _squashed_gaussian,
    "PPO": _on_policy,
    "A2C": _on_policy,
    "TRPO": _on_policy,
    "MaskablePPO": _on_policy,
    "DQN": _action_values,
    "QRDQN": _quantiles,
    "ARS": _searched,
}
"""By algorithm: from the features extractor to what is said of actions."""
