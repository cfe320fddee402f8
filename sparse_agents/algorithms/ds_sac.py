"""Dynamic sparse SAC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from torch import nn

from sparse_agents.algorithms.recipe import PAPER_POLICY, EndsWithTheRun
from sparse_agents.algorithms.run_length import NOT_YET
from sparse_agents.errors import ConfigurationError
from sparse_agents.policies import SparsePolicyMixin, SparseSACPolicy
from sparse_agents.training import GradientStep, SACStep, TrainsNatively, networks_of

DS_SAC_POLICY: Mapping[str, Any] = {**PAPER_POLICY, "optimizer_kwargs": {}, "lambdas": [12.0, 80.0]}
DENSE_TAU = 0.005
"""SAC's own: what a plain agent made of this one is to average its targets with."""


class DSSAC(TrainsNatively, EndsWithTheRun, SAC):
    """SAC trained sparse from scratch, its topology evolving.

    Stable-Baselines3's SAC with the recipe that Sokar, Mocanu, Mocanu, Pechenizkiy, Stone, "Dynamic Sparse Training for
    Deep Reinforcement Learning", IJCAI 2022, give in the appendix; its code was never published.

    Hidden layers are Erdős–Rényi sparse with λ = (12, 80), output layers and biases dense; Adam 3e-4, batch 256, a
    fixed entropy coefficient of 0.2, and target critics that are copies of the critics, made anew every 1000 gradient
    steps. Every 1000 gradient steps 10% of the positive weights nearest zero and 10% of the negative ones move to
    random places. Published λ1/λ2: 12/80 for HalfCheetah and Walker2d, 7/20 for Hopper, 30/64 for Ant, 61/64 for
    Humanoid.

    As for :class:`DSTD3`, the topology of a run of any length is frozen for its last 5%.

    Args:
        policy: a sparse SAC policy.
        env: the environment, or its id.
        target_copy_interval: gradient steps from one copy of the critics to the next. ``tau`` and
            ``target_update_interval`` are what the copies need, and not to be given.
        policy_kwargs: merged over the recipe's. ``sparsity`` scales both λ by one factor.
        kwargs: everything else SAC takes.
    """

    hooks_of_its_own: ClassVar[Mapping[str, int]] = {"critic": 1}
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "SparseMlpPolicy": SparseSACPolicy,
        "MlpPolicy": SparseSACPolicy,
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "SparseMlpPolicy",
        env: GymEnv | str | None = None,
        learning_rate: float | Schedule = 3e-4,
        learning_starts: int = 25_000,
        batch_size: int = 256,
        ent_coef: str | float = 0.2,
        target_copy_interval: int = 1000,
        policy_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        for name in ("tau", "target_update_interval"):
            if name in kwargs:
                raise ConfigurationError(f"DSSAC copies its critics: give target_copy_interval, not {name}.")
        if target_copy_interval < 1:
            raise ConfigurationError(f"target_copy_interval={target_copy_interval}: at least 1.")
        self.target_copy_interval = target_copy_interval
        timing = {"update_interval": 1000, "drop_fraction": 0.1, "end": NOT_YET}
        given = dict(policy_kwargs or {})
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,  # type: ignore[arg-type]
            learning_rate,
            learning_starts=learning_starts,
            batch_size=batch_size,
            ent_coef=ent_coef,
            policy_kwargs={
                **DS_SAC_POLICY,
                **given,
                "topology_defaults": {**timing, **(given.get("topology_defaults") or {})},
            },
            **kwargs,
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        # SAC averages after every gradient step, for its count starts anew at each call of train(): weights of one
        # make copies of averages, weights of zero leave the targets alone.
        self.critic.optimizer.register_step_post_hook(lambda *_: self._choose_tau(self._critic_steps()))

    def _choose_tau(self, steps: int) -> None:
        self.tau = 1.0 if steps % self.target_copy_interval == 0 else 0.0

    def _critic_steps(self) -> int:
        policy = self.policy
        assert isinstance(policy, SparsePolicyMixin)
        steps: int = policy.topology_controllers["critic"].steps  # type: ignore[assignment]
        return steps

    def networks_trained(self) -> Mapping[str, nn.Module]:
        return networks_of(self, "latent_pi")

    def other_optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {} if self.ent_coef_optimizer is None else {"entropy coefficient": self.ent_coef_optimizer}

    def native_step(self, batch_size: int) -> GradientStep:
        return SACStep(self, batch_size)

    def steps_taken_by(self, updates: int) -> Mapping[str, bool]:
        return {"critic": True, "actor": True}

    def before_native_update(self) -> None:
        self._choose_tau(self._critic_steps() + 1)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        try:
            super().train(gradient_steps, batch_size)
        finally:
            self.tau = DENSE_TAU
