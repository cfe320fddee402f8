"""What a policy says about observations, and how much a change of it matters."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution
from torch import Tensor

from sparse_agents.errors import ConfigurationError


def policy_outputs(model: BaseAlgorithm, observations: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Outputs ``[samples, k]`` and weights of the same shape, so that the diagonal of the Fisher information of the
    action given the observation is ``Σ weight · (∂ output)²``.

    A Gaussian policy: ``1 / σ²`` for means and 2 for the logarithms of ``σ``, before squashing, which changes nothing
    (Wołczyk et al. 2021, appendix). A deterministic policy, and action values: as means of a Gaussian with ``σ = 1``.
    A categorical policy: log-probabilities, weighted by probabilities.

    Raises:
        ConfigurationError: for other policies.
    """
    policy: Any = model.policy
    if isinstance(model, SAC):
        mean, log_std, _ = policy.actor.get_action_dist_params(observations)
        return _gaussian(mean, log_std)
    if isinstance(model, TD3):
        action = policy.actor(observations)
        return [(action, torch.ones_like(action))]
    if isinstance(model, DQN):
        values = policy.q_net(observations)
        return [(values, torch.ones_like(values))]
    if isinstance(model, PPO):
        distribution = policy.get_distribution(observations)
        if isinstance(distribution, DiagGaussianDistribution):
            gaussian = distribution.distribution
            return _gaussian(gaussian.mean, gaussian.stddev.log())
        if isinstance(distribution, CategoricalDistribution):
            log_probabilities = distribution.distribution.logits
            return [(log_probabilities, log_probabilities.exp().detach())]
    raise ConfigurationError(f"The Fisher information of {type(model).__name__}'s policy is not known here.")


def _gaussian(mean: Tensor, log_std: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(mean, (-2 * log_std).exp().detach()), (log_std, torch.full_like(log_std, 2.0))]
