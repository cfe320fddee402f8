"""What a run needs to go on as if it had never stopped, beside weights and replay buffer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from sparse_agents.control import TopologyController
from sparse_agents.policies import SparsePolicyMixin, attributes_of
from sparse_agents.runs.environment_state import goes_back, restore_records, restore_vec_env, vec_env_state

OF_THIS_RUN = {
    "start_time", "_num_timesteps_at_start", "_total_timesteps", "observation_space", "verbose", "tensorboard_log",
    "policy_class", "policy_kwargs", "device",
}  # fmt: skip
"""Attributes of an algorithm that the process that resumes it sets itself."""
OF_THE_EPISODE = ("_last_obs", "_last_episode_starts", "_last_original_obs", "_last_lstm_states")
LEFT_OUT = ("_last_lstm_states",)
"""Attributes that RecurrentPPO does not save, for an agent that begins new episodes does without."""
NOT_STATE = (BaseAlgorithm, BaseCallback, VecEnv, Logger, FunctionType, MethodType, BuiltinFunctionType, type)
EXPLORATION = ("exploration_mat", "exploration_matrices")
"""Of generalised state-dependent exploration: matrices drawn before a rollout, which no state dict holds."""
RECORDED = ("name_to_value", "name_to_count", "name_to_excluded")
PLAIN = (int, float, str, list, dict, np.ndarray, Tensor)


def run_state(model: BaseAlgorithm, callbacks: Sequence[BaseCallback]) -> dict[str, Any]:
    """Between two rollouts; everything can be pickled."""
    assert model.env is not None
    attributes = {**attributes_of(model), **{name: vars(model)[name] for name in LEFT_OUT if name in vars(model)}}
    return {
        "attributes": {k: v for k, v in attributes.items() if k not in OF_THIS_RUN and _is_state(v)},
        "exploration": [vars(d) for d in _exploration(model)],
        "environment": vec_env_state(model.env),
        "callbacks": [(type(callback).__name__, _callback_state(callback)) for callback in callbacks],
        "recorded": _numbers(_recorded(model)),
        "total": model._total_timesteps,
        "ends": {name: controller.last_update for name, controller in _controllers(model).items()},
        "generators": (random.getstate(), np.random.get_state(), torch.get_rng_state()),  # noqa: NPY002
        "device_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_run(model: BaseAlgorithm, callbacks: Sequence[BaseCallback], state: dict[str, Any]) -> None:
    """Of :func:`run_state`, generators last. An environment that could not be saved begins a new episode."""
    assert model.env is not None
    attributes = dict(state["attributes"])
    noise = attributes.pop("action_noise", None)
    if noise is not None:
        vars(cast(Any, model).action_noise).update(vars(noise))  # in place: the rollout holds it already
    if goes_back(state["environment"]):
        restore_vec_env(model.env, state["environment"])
    else:  # what ``learn()`` has just got from its new episode counts
        restore_records(model.env, state["environment"])
        normalize = model.get_vec_normalize_env()
        if normalize is not None and normalize is model.env:
            model._last_obs = normalize.normalize_obs(normalize.get_original_obs())
        attributes |= {name: vars(model)[name] for name in OF_THE_EPISODE if name in vars(model)}
    vars(model).update(attributes)
    for distribution, attributes in zip(_exploration(model), state["exploration"], strict=True):
        vars(distribution).update({name: attributes[name] for name in EXPLORATION})
    for name, recorded in _recorded(model).items():
        recorded.update(state["recorded"].get(name, {}))
    for callback, (name, values) in zip(callbacks, state["callbacks"], strict=False):
        if type(callback).__name__ == name:
            vars(callback).update(values)
    if state["total"] == model._total_timesteps:  # else the run is another length than it was
        for name, end in state["ends"].items():
            _controllers(model)[name].end_at(end)
    restore_generators(state)


def restore_generators(state: dict[str, Any]) -> None:
    """Python's, numpy's and torch's global ones, these on each CUDA device that there was, and is."""
    of_python, of_numpy, of_torch = state["generators"]
    random.setstate(of_python)
    np.random.set_state(of_numpy)  # noqa: NPY002
    torch.set_rng_state(of_torch)
    for device, of_device in zip(range(torch.cuda.device_count()), state.get("device_generators", []), strict=False):
        torch.cuda.set_rng_state(of_device, device)


def _recorded(model: BaseAlgorithm) -> dict[str, dict[str, Any]]:
    """What the logger has got and not yet written, such as the losses of the last gradient steps."""
    logger = vars(model).get("_logger")
    return {} if logger is None else {name: vars(logger)[name] for name in RECORDED}


def _numbers(recorded: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Not pictures and histograms, nor what is known of them."""
    values = recorded.get(RECORDED[0], {})
    left_out = [key for key, value in values.items() if not isinstance(value, int | float | np.number)]
    return {name: {k: v for k, v in of_key.items() if k not in left_out} for name, of_key in recorded.items()}


def _controllers(model: BaseAlgorithm) -> dict[str, TopologyController]:
    """Those that have a schedule."""
    if not isinstance(model.policy, SparsePolicyMixin):
        return {}
    found: dict[str, Any] = dict(model.policy.topology_controllers.items())
    return {name: controller for name, controller in found.items() if controller.schedule is not None}


def _exploration(model: BaseAlgorithm) -> list[Any]:
    """The action distributions that hold exploration matrices."""
    found = [vars(module).get("action_dist") for module in model.policy.modules()]
    return [d for d in found if d is not None and all(name in vars(d) for name in EXPLORATION)]


def _is_state(value: Any) -> bool:
    return not isinstance(value, NOT_STATE) and not isinstance(value, nn.Module | torch.optim.Optimizer)


def _callback_state(callback: BaseCallback) -> dict[str, Any]:
    """Counters and histories; not the model, the environments, and what belongs to the machine."""
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, PLAIN) and name not in ("locals", "globals", "verbose", "log_path", "best_model_save_path")
    }
