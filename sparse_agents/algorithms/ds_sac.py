"""Dynamic sparse SAC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from torch import nn
from torch.utils.hooks import RemovableHandle

from sparse_agents.algorithms.recipe import SOKAR_POLICY, HasRecipes, Recipe
from sparse_agents.errors import ConfigurationError
from sparse_agents.policies import SparsePolicyMixin, SparseSACPolicy
from sparse_agents.training import Engine, GradientStep, SACStep, TrainsNatively, networks_of

RECIPES: Mapping[str, Recipe] = {
    "paper": Recipe(
        algorithm={
            "learning_rate": 3e-4,
            "learning_starts": 25_000,
            "batch_size": 256,
            "ent_coef": 0.2,
            "target_copy_interval": 1000,
        },
        policy={**SOKAR_POLICY, "lambdas": [12.0, 80.0]},
        timing={"update_interval": 1000, "drop_fraction": 0.1},
    ),
    "robust": Recipe(
        algorithm={"learning_rate": 3e-4, "learning_starts": 10_000, "batch_size": 256, "ent_coef": "auto"},
        policy={"net_arch": [256, 256]},
    ),
}
SAC_TAU = 0.005
"""What targets are averaged with, by a recipe without copies, and by a plain agent made of this one."""


class DSSAC(TrainsNatively, HasRecipes, SAC):
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
        target_copy_interval: gradient steps from one copy of the critics to the next; ``tau`` and
            ``target_update_interval`` are what the copies need, and not to be given then.
        recipe: ``"paper"``, as above, or ``"robust"``: SAC's own settings, targets averaged, the entropy coefficient
            learned, and the sparse policies' defaults (docs/learning.md).
        policy_kwargs: merged over the recipe's. ``sparsity`` scales both λ of the paper by one factor.
        kwargs: everything else SAC takes.
    """

    recipes = RECIPES
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "SparseMlpPolicy": SparseSACPolicy,
        "MlpPolicy": SparseSACPolicy,
    }

    def __init__(
        self,
        policy: str | type[BasePolicy] = "SparseMlpPolicy",
        env: GymEnv | str | None = None,
        learning_rate: float | Schedule | None = None,
        learning_starts: int | None = None,
        batch_size: int | None = None,
        ent_coef: str | float | None = None,
        target_copy_interval: int | None = None,
        recipe: str = "paper",
        policy_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        settings = self.find_recipe(recipe)
        arguments = settings.arguments(
            learning_rate=learning_rate, learning_starts=learning_starts, batch_size=batch_size, ent_coef=ent_coef,
            target_copy_interval=target_copy_interval,
        )  # fmt: skip
        self.target_copy_interval: int | None = arguments.pop("target_copy_interval", None)
        if self.target_copy_interval is not None:
            _check_copies(self.target_copy_interval, kwargs)
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,  # type: ignore[arg-type]
            policy_kwargs=settings.policy_kwargs(policy_kwargs),
            **arguments,
            **kwargs,
        )

    def listen(self) -> Sequence[RemovableHandle]:
        # SAC averages after every gradient step, for its count starts anew at each call of train(): weights of one
        # make copies of averages, weights of zero leave the targets alone.
        choose = self.critic.optimizer.register_step_post_hook(lambda *_: self._choose_tau(self._critic_steps()))
        return [choose]

    def _choose_tau(self, steps: int) -> None:
        if self.target_copy_interval is not None:
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

    def native_step(self, batch_size: int, engine: Engine) -> GradientStep:
        return SACStep(self, batch_size, engine)

    def steps_taken_by(self, updates: int) -> Mapping[str, bool]:
        return {"critic": True, "actor": True}

    def before_native_update(self) -> None:
        self._choose_tau(self._critic_steps() + 1)

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        try:
            super().train(gradient_steps, batch_size)
        finally:
            if self.target_copy_interval is not None:
                self.tau = SAC_TAU


def _check_copies(interval: int, kwargs: Mapping[str, Any]) -> None:
    for name in ("tau", "target_update_interval"):
        if name in kwargs:
            raise ConfigurationError(f"DSSAC copies its critics: give target_copy_interval, not {name}.")
    if interval < 1:
        raise ConfigurationError(f"target_copy_interval={interval}: at least 1.")
