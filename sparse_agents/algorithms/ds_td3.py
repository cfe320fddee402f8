"""Dynamic sparse TD3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from stable_baselines3 import TD3
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from torch import nn
from torch.utils.hooks import RemovableHandle

from sparse_agents.algorithms.capped_target import CappedTargets
from sparse_agents.algorithms.recipe import SOKAR_POLICY, HasRecipes, Recipe
from sparse_agents.errors import unknown
from sparse_agents.policies import SparseTD3Policy
from sparse_agents.training import Engine, GradientStep, TD3Step, TrainsNatively, networks_of

TARGET_TOPOLOGIES = ("shared", "capped")
RECIPES: Mapping[str, Recipe] = {
    "paper": Recipe(
        algorithm={"learning_rate": 1e-3, "learning_starts": 25_000, "batch_size": 100},
        policy={**SOKAR_POLICY, "lambdas": [7.0, 64.0], "optimizer_kwargs": {"weight_decay": 2e-4}},
        timing={"update_interval": 1000, "begin": 2, "drop_fraction": 0.05},
    ),
    "robust": Recipe(
        algorithm={"learning_rate": 1e-3, "learning_starts": 10_000, "batch_size": 256},
        policy={"net_arch": [256, 256]},
    ),
}


class DSTD3(TrainsNatively, HasRecipes, TD3):
    """TD3 trained sparse from scratch, its topology evolving.

    Stable-Baselines3's TD3 with the recipe of Sokar, Mocanu, Mocanu, Pechenizkiy, Stone, "Dynamic Sparse Training for
    Deep Reinforcement Learning", IJCAI 2022; official code
    github.com/GhadaSokar/Dynamic-Sparse-Training-for-Deep-Reinforcement-Learning.

    Hidden layers are Erdős–Rényi sparse with λ = (7, 64), output layers and biases dense; Adam 1e-3 with
    weight decay 2e-4, batch 100, 25k random steps, exploration noise 0.1. Every 1000 gradient steps
    (the first at step 2) 5% of the positive weights nearest zero and 5% of the negative ones move to random
    places. Published λ1: 7 for HalfCheetah, Hopper and Walker2d, 40 for Ant, 61 for Humanoid.

    Differences from the official code: the number of connections is exact, where theirs is drawn from
    Bernoulli trials; new connections start at zero with zero moments (the paper), where theirs carry the
    moments of a dense Adam; the last update regrows what it drops, where theirs does not; a run of
    another length freezes its topology for the last 5%, which is the paper's 50k at 1M steps.

    Args:
        policy: a sparse TD3 policy.
        env: the environment, or its id.
        learning_rate, learning_starts, batch_size: by default the recipe's.
        exploration_noise: standard deviation of Gaussian action noise, in units of the normalised action;
            used when ``action_noise`` is not given.
        target_topology: ``"shared"``: the targets have the online networks' connections. ``"capped"``: they
            keep their own, capped by magnitude, as the official code does.
        recipe: ``"paper"``, as above, or ``"robust"``: the sparse policies' defaults with rl-zoo3's settings for
            MuJoCo.
        policy_kwargs: merged over the recipe's. ``sparsity`` scales both λ of the paper by one factor.
        kwargs: everything else TD3 takes.
    """

    recipes = RECIPES
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "SparseMlpPolicy": SparseTD3Policy,
        "MlpPolicy": SparseTD3Policy,
    }
    policy: SparseTD3Policy

    def __init__(
        self,
        policy: str | type[SparseTD3Policy] = "SparseMlpPolicy",
        env: GymEnv | str | None = None,
        learning_rate: float | Schedule | None = None,
        learning_starts: int | None = None,
        batch_size: int | None = None,
        policy_delay: int = 2,
        exploration_noise: float = 0.1,
        target_topology: str = "shared",
        recipe: str = "paper",
        policy_kwargs: Mapping[str, Any] | None = None,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        if target_topology not in TARGET_TOPOLOGIES:
            raise unknown("target_topology", target_topology, TARGET_TOPOLOGIES)
        self.exploration_noise = exploration_noise
        self.target_topology = target_topology
        settings = self.find_recipe(recipe)
        settings = replace(settings, timing=_in_optimizer_steps(settings.timing, policy_delay))
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]
            policy_delay=policy_delay,
            policy_kwargs={"share_topology": target_topology == "shared", **settings.policy_kwargs(policy_kwargs)},
            _init_setup_model=False,
            **settings.arguments(learning_rate=learning_rate, learning_starts=learning_starts, batch_size=batch_size),
            **kwargs,
        )
        if self.action_noise is None and env is not None and exploration_noise > 0:
            shape = self.action_space.shape
            assert shape is not None
            self.action_noise = NormalActionNoise(np.zeros(shape), np.full(shape, exploration_noise))
        if _init_setup_model:
            self._setup_model()

    def listen(self) -> Sequence[RemovableHandle]:
        if self.target_topology == "shared":
            return ()
        capped = CappedTargets({self.actor: self.actor_target, self.critic: self.critic_target})
        self._capped_tau = self.tau
        # TD3 updates its targets right after the actor's step, so that is the moment.
        return [self.actor.optimizer.register_step_post_hook(lambda *_: capped.update(self._capped_tau))]

    def networks_trained(self) -> Mapping[str, nn.Module]:
        return {**networks_of(self, "mu"), "target actor": self.actor_target.mu}

    def native_step(self, batch_size: int, engine: Engine) -> GradientStep:
        return TD3Step(self, batch_size, engine)

    def steps_taken_by(self, updates: int) -> Mapping[str, bool]:
        return {"critic": True, "actor": updates % self.policy_delay == 0}

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        if self.target_topology == "shared":
            return super().train(gradient_steps, batch_size)
        # Stable-Baselines3 averages slot by slot, which is wrong between different topologies: with τ = 0 it
        # leaves the targets alone, and the hook averages connection by connection.
        self._capped_tau, self.tau = self.tau, 0.0
        try:
            return super().train(gradient_steps, batch_size)
        finally:
            self.tau = self._capped_tau


def _in_optimizer_steps(timing: Mapping[str, Any], policy_delay: int) -> dict[str, Any]:
    """From updates of the critics, of which one in ``policy_delay`` is one of the actor."""

    def converted(count: int) -> dict[str, int]:
        return {"actor": math.ceil(count / policy_delay), "critic": count}

    return {name: converted(value) if name in ("update_interval", "begin") else value for name, value in timing.items()}
