"""The families of Stable-Baselines3's policies: which networks they have, and which optimizers train them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparse_agents.policies.base import SparsePolicyMixin
from sparse_agents.policies.defaults import BySparsity, Defaults
from sparse_agents.policies.parts import Part, last_layer

OF_THE_ACTOR = MappingProxyType({"actor": 1e-3, "critic": 0.0})
"""Weight decay."""


class OffPolicyActorCritic(SparsePolicyMixin):
    """An actor and several critics with an optimizer each: TD3, DDPG.

    A features extractor that the critics share with the actor counts with the actor. Weights decay by default:
    without, agents at 90% sparsity learn 7% less on HalfCheetah. From 95% on decay harms critics, and they want
    LayerNorm and larger steps (docs/learning.md).
    """

    defaults: ClassVar[BySparsity] = {
        0.0: Defaults(weight_decay=1e-3),
        0.95: Defaults(layer_norm=("critic",), weight_decay=OF_THE_ACTOR, learning_rate_scale=3.0),
    }
    actor: nn.Module
    critic: nn.Module
    share_features_extractor: bool

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer | None]:
        networks: dict[str, Any] = {"actor": self.actor, "critic": self.critic}
        return {name: network.optimizer for name, network in networks.items()}

    def parts(self) -> list[Part]:
        heads = {f"actor.{n}": head for n, head in self.actor.named_children() if n in ("mu", "log_std")}
        parts = [Part("actor", "actor", {"actor": self.actor}, [last_layer(n, head) for n, head in heads.items()])]
        for name, module in self.critic.named_children():
            root = f"critic.{name}"
            if name == "features_extractor":
                if not self.share_features_extractor:
                    parts.append(Part("critic", "critic", {root: module}))
            else:
                parts.append(Part("critic", "critic", {root: module}, [last_layer(root, module)]))
        return parts

    def run_networks(self, observations: Any, actions: Tensor) -> None:
        policy: Any = self
        policy._predict(observations, deterministic=True)
        self.critic(observations, actions)


class MaximumEntropy(OffPolicyActorCritic):
    """The same where the actor is a distribution that has to stay wide: CrossQ.

    Weights of the actor alone decay by default: SAC's critics at 90% sparsity learn less where theirs do
    (docs/learning.md).
    """

    defaults: ClassVar[BySparsity] = {0.0: Defaults(weight_decay=OF_THE_ACTOR)}


class SmallSteps(MaximumEntropy):
    """The same with a learning rate that is small for sparse networks: 3e-4, of SAC and TQC.

    Steps grow with sparsity by default, to 1e-3 at 90%, as large as those of TD3 and CrossQ: with 3e-4 such an agent
    learns a tenth less on HalfCheetah, and hardly anything on Walker2d (docs/learning.md).
    """

    defaults: ClassVar[BySparsity] = {0.0: Defaults(weight_decay=OF_THE_ACTOR, learning_rate_scale="auto")}


class ValueNetwork(SparsePolicyMixin):
    """One network of action values, or of their quantiles: DQN, QRDQN."""

    optimizer: torch.optim.Optimizer

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer | None]:
        return {name: self.optimizer for name in self._online()}

    def parts(self) -> list[Part]:
        return [Part(name, name, {name: net}, [last_layer(name, net)]) for name, net in self._online().items()]

    def _online(self) -> dict[str, nn.Module]:
        assert isinstance(self, nn.Module)
        return {name: self.get_submodule(name) for name in self.targets()}

    def run_networks(self, observations: Any, actions: Tensor) -> None:
        for network in self._online().values():
            network(observations)


class OnPolicyActorCritic(SparsePolicyMixin):
    """An actor and a value function under one optimizer: PPO, A2C, MaskablePPO, RecurrentPPO.

    A features extractor or a recurrent layer that both share counts with the actor.
    """

    optimizer: torch.optim.Optimizer
    share_features_extractor: bool

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer | None]:
        return {"policy": self.optimizer}

    def parts(self) -> list[Part]:
        assert isinstance(self, nn.Module)
        networks = {
            "actor": ["features_extractor", "lstm_actor", "mlp_extractor.policy_net", "action_net"],
            "critic": ["vf_features_extractor", "lstm_critic", "critic", "mlp_extractor.value_net", "value_net"],
        }
        if self.share_features_extractor:
            networks["critic"].remove("vf_features_extractor")
        present = {name for name, _ in self.named_modules(remove_duplicate=False)}
        return [
            Part(
                network,
                "policy",
                {name: self.get_submodule(name) for name in names if name in present},
                [last_layer(names[-1], self.get_submodule(names[-1]))],
            )
            for network, names in networks.items()
        ]


class TrustRegion(OnPolicyActorCritic):
    """TRPO: as PPO, but the actor is moved by a line search."""

    bypasses_optimizer = "TRPO moves its actor by a line search, not by an optimizer"


class RandomSearch(SparsePolicyMixin):
    """An actor without an optimizer: ARS, which then searches among the weights of the connections alone."""

    bypasses_optimizer = "ARS has no optimizer"
    action_net: nn.Module

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer | None]:
        return {"actor": None}

    def parts(self) -> list[Part]:
        return [Part("actor", "actor", {"action_net": self.action_net}, [last_layer("action_net", self.action_net)])]

    @staticmethod
    def parameters_changed(model: Any) -> None:
        model.weights = nn.utils.parameters_to_vector(model.policy.parameters()).detach()
        model.n_params = len(model.weights)
