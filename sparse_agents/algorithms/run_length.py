"""When topology updates end, from the length of a run."""

from __future__ import annotations

import math
import warnings

from stable_baselines3 import TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from sparse_agents.control import TopologyController
from sparse_agents.errors import ConfigurationError
from sparse_agents.policies import SparsePolicyMixin


def end_with_the_run(model: BaseAlgorithm, total_timesteps: int, frozen_fraction: float = 0.0) -> None:
    """Set the last update of every network that has a schedule, unless the user has given an ``end``.

    Args:
        model: with a sparse policy; of its run, ``model.num_timesteps`` are done.
        total_timesteps: environment steps of the whole run.
        frozen_fraction: the part of the run, at its end, in which the topology stays.

    Raises:
        ConfigurationError: where the number of gradient steps cannot be known, and a rule depends on it.
    """
    policy = model.policy
    assert isinstance(policy, SparsePolicyMixin)
    if "end" in ((model.policy_kwargs or {}).get("topology_kwargs") or {}):
        return
    steps = _gradient_steps(model, total_timesteps * (1 - frozen_fraction))
    for network, controller in policy.topology_controllers.items():
        assert isinstance(controller, TopologyController)
        if controller.schedule is None or not controller.rule.timed:
            continue
        if steps is None and controller.rule.ramps:
            raise ConfigurationError(
                "How many gradient steps a run has cannot be told from train_freq in episodes. Say when the topology "
                "is to be complete: topology_kwargs={'end': ...}, in optimizer steps."
            )
        delay = model.policy_delay if isinstance(model, TD3) and network == "actor" else 1
        last = None if steps is None else controller.steps + steps // delay
        if controller.rule.ramps and last is not None and controller.steps == 0 and last < controller.schedule.first:
            warnings.warn(
                f"{type(controller.rule).__name__} would first prune {network} at optimizer step "
                f"{controller.schedule.first}, and the run has {last}: it ends as it began. Give "
                "topology_kwargs={'update_interval': ...}.",
                stacklevel=2,
            )
        controller.end_at(last)


def _gradient_steps(model: BaseAlgorithm, until: float) -> int | None:
    """From now on, None where episodes decide."""
    if isinstance(model, OnPolicyAlgorithm):
        rollout: int = model.n_steps * model.n_envs
        batch_size: int = vars(model).get("batch_size", rollout)  # A2C takes all at once
        epochs: int = vars(model).get("n_epochs", 1)
        rollouts = math.floor(max(0.0, until - model.num_timesteps) / rollout)
        return rollouts * epochs * math.ceil(rollout / batch_size)
    if not isinstance(model, OffPolicyAlgorithm):
        return None
    active = max(0.0, until - max(model.num_timesteps, model.learning_starts))
    if model.gradient_steps < 0:
        return math.floor(active)
    frequency = model.train_freq
    assert isinstance(frequency, TrainFreq)
    if frequency.unit is TrainFrequencyUnit.EPISODE:
        return None
    return math.floor(active * model.gradient_steps / (frequency.frequency * model.n_envs))
