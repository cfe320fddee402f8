"""When topology updates end, from the length of a run."""

from __future__ import annotations

import math

from stable_baselines3 import TD3
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sparse_agents.control import TopologyController
from sparse_agents.policies import SparsePolicyMixin


def end_with_the_run(model: OffPolicyAlgorithm, total_timesteps: int, frozen_fraction: float = 0.0) -> None:
    """Set the last update of every network that has a schedule, unless the user has given an ``end``.

    Args:
        model: with a sparse policy.
        total_timesteps: environment steps of the whole run.
        frozen_fraction: the part of the run, at its end, in which the topology stays.
    """
    policy = model.policy
    assert isinstance(policy, SparsePolicyMixin)
    if "end" in ((model.policy_kwargs or {}).get("topology_kwargs") or {}):
        return
    per_timestep = 1.0
    if model.gradient_steps >= 0:
        per_timestep = model.gradient_steps / (model.train_freq.frequency * model.n_envs)  # type: ignore[union-attr]
    active = total_timesteps * (1 - frozen_fraction) - model.learning_starts
    steps = max(0, math.floor(active * per_timestep))
    for network, controller in policy.topology_controllers.items():
        assert isinstance(controller, TopologyController)
        delay = model.policy_delay if isinstance(model, TD3) and network == "actor" else 1
        if controller.schedule is not None and controller.rule.timed:
            controller.schedule.end = steps // delay
