"""MaskablePPO asks its environment which actions are valid, and so has to be evaluated in its own way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.errors import ConfigurationError


def needs_masks(model: BaseAlgorithm) -> bool:
    """Whether it is sb3-contrib's MaskablePPO, which then is imported."""
    contrib = sys.modules.get("sb3_contrib")
    return contrib is not None and isinstance(model, contrib.MaskablePPO)


def check_masks(kind: type[BaseAlgorithm], env: VecEnv) -> None:
    """Raises ConfigurationError where an algorithm asks for masks and the environment has none."""
    if kind.__name__ == "MaskablePPO" and not env.has_attr("action_masks"):
        raise ConfigurationError(
            "ppo_mask asks its environment which actions are valid, and this one has no action_masks(). Use ppo, or "
            "sb3-contrib's ActionMasker in a package for --gym-packages."
        )


def evaluator(model: BaseAlgorithm) -> Callable[..., Any]:
    """The ``evaluate_policy`` for an algorithm."""
    if not needs_masks(model):
        return evaluate_policy
    from sb3_contrib.common.maskable.evaluation import evaluate_policy as with_masks

    found: Callable[..., Any] = with_masks
    return found


def evaluation_callback(model: BaseAlgorithm) -> type[EvalCallback]:
    """The ``EvalCallback`` for an algorithm."""
    if not needs_masks(model):
        return EvalCallback
    from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback

    found: type[EvalCallback] = MaskableEvalCallback
    return found
