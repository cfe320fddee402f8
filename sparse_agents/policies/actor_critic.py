"""Off-policy actor-critic policies: TD3's and SAC's."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor

from sparse_agents.nn import linear_layers
from sparse_agents.policies.base import Member, SparsePolicyMixin, Trained


def _critics(critic: ContinuousCritic, target: ContinuousCritic) -> list[Member]:
    """One member per Q-network: each has its own sparsity budget and topology."""
    return [
        Member(f"critic.qf{i}", online, other, outputs=list(linear_layers(online))[-1:])
        for i, (online, other) in enumerate(zip(critic.q_networks, target.q_networks, strict=True))
    ]


class SparseTD3Policy(SparsePolicyMixin, TD3Policy):
    """TD3's and DDPG's actor and critics, sparse. See :class:`SparsePolicyMixin` for ``policy_kwargs``."""

    def networks(self) -> dict[str, Trained]:
        outputs = list(linear_layers(self.actor.mu))[-1:]
        actor = Member("actor.mu", self.actor.mu, self.actor_target.mu, outputs)
        return {
            "actor": Trained(self.actor.optimizer, [actor]),
            "critic": Trained(self.critic.optimizer, _critics(self.critic, self.critic_target)),
        }

    def run_networks(self, observations: Any, actions: Tensor) -> None:
        self.actor(observations)
        self.critic(observations, actions)


class SparseSACPolicy(SparsePolicyMixin, SACPolicy):
    """SAC's actor and critics, sparse. See :class:`SparsePolicyMixin` for ``policy_kwargs``."""

    _not_converted = ("actor.features_extractor.*",)

    def networks(self) -> dict[str, Trained]:
        outputs = [name for name in linear_layers(self.actor) if name.split(".")[0] in ("mu", "log_std")]
        return {
            "actor": Trained(self.actor.optimizer, [Member("actor", self.actor, None, outputs)]),
            "critic": Trained(self.critic.optimizer, _critics(self.critic, self.critic_target)),
        }

    def run_networks(self, observations: Any, actions: Tensor) -> None:
        self.actor(observations, deterministic=True)
        self.critic(observations, actions)
