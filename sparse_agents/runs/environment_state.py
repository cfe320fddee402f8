"""The state of environments: between two steps of an episode, saved and gone back to."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import cloudpickle
import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.monitor import ResultsWriter
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

NOT_STATE = (EnvSpec, ResultsWriter, FunctionType, MethodType, BuiltinFunctionType, type)
NOT_STATE_TYPES = ("MjModel", "MujocoRenderer")
"""By name, for MuJoCo need not be installed: its model is constant, and its renderer no part of the simulation."""
EPISODES = ("episode_returns", "episode_lengths", "episode_times", "total_steps")
"""Attributes of a monitor: of the episodes that are complete."""
WRAPPED = ("env", "venv", "class_attributes")
"""Attributes of wrappers: what they wrap, which is saved by itself, and where its attributes are found."""


class KeepsState(gym.Wrapper):
    """Lets an environment's state be saved, and gone back to. Goes around all other wrappers.

    Saved are the attributes of the environment and its wrappers. Where they cannot be, because the simulator is out of
    reach, there is a state at the beginning of episodes alone: that of the generator which the episode began with.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self._begin: dict[str, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        generator = self.unwrapped.np_random.bit_generator.state
        self._begin = {"generator": generator, "seed": seed, "options": options}
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._begin = None
        return super().step(action)

    def environment_state(self) -> bytes | None:
        """For :meth:`restore_environment`; None where there is no going back to this moment."""
        try:
            state: bytes = cloudpickle.dumps({"attributes": [_attributes(layer) for layer in self._layers()]})
            return state
        except (TypeError, AttributeError, ValueError, RuntimeError, pickle.PicklingError):
            return None if self._begin is None else pickle.dumps({"begin": self._begin})

    def restore_environment(self, state: bytes) -> None:
        """Go back, in the same environment or another one of its kind."""
        saved = pickle.loads(state)
        if "begin" in saved:
            self.unwrapped.np_random.bit_generator.state = saved["begin"]["generator"]
            self.reset(seed=saved["begin"]["seed"], options=saved["begin"]["options"])
            return
        for layer, attributes in zip(self._layers(), saved["attributes"], strict=True):
            _restore(layer, attributes)

    def episodes(self) -> dict[str, Any]:
        """What its monitor has written down."""
        return {name: self.get_wrapper_attr(name) for name in EPISODES if self.has_wrapper_attr(name)}

    def restore_episodes(self, episodes: dict[str, Any]) -> None:
        """Let the monitor go on counting from there."""
        for name, value in episodes.items():
            self.set_wrapper_attr(name, value)

    def _layers(self) -> Iterator[gym.Env]:
        env: gym.Env = self.env
        while isinstance(env, gym.Wrapper):
            yield env
            env = env.env
        yield env


def vec_env_state(env: VecEnv) -> dict[str, Any]:
    """Of every wrapper (normalisation, stacked frames) and every environment, None for those without."""
    kept = all(env.env_is_wrapped(KeepsState))
    return {
        "wrappers": [_attributes(wrapper) for wrapper in _wrappers(env)],
        "environments": env.env_method("environment_state") if kept else [None] * env.num_envs,
        "episodes": env.env_method("episodes") if kept else [],
    }


def goes_back(state: dict[str, Any]) -> bool:
    """Whether :func:`vec_env_state` has a state of every environment; else they begin new episodes."""
    return None not in state["environments"]


def episodes_written(state: dict[str, Any]) -> list[int]:
    """How many each environment's monitor has written down in :func:`vec_env_state`."""
    return [len(episodes["episode_returns"]) for episodes in state["episodes"] if episodes]


def restore_vec_env(env: VecEnv, state: dict[str, Any]) -> None:
    """Go back to :func:`vec_env_state`, where that :func:`goes_back`."""
    for wrapper, attributes in zip(_wrappers(env), state["wrappers"], strict=True):
        _restore(wrapper, attributes)
    for index, blob in enumerate(state["environments"]):
        env.env_method("restore_environment", blob, indices=[index])


def restore_records(env: VecEnv, state: dict[str, Any]) -> None:
    """What normalisation has learned and monitors have written down, where environments begin new episodes."""
    for index, episodes in enumerate(state["episodes"]):
        env.env_method("restore_episodes", episodes, indices=[index])
    for wrapper, attributes in zip(_wrappers(env), state["wrappers"], strict=True):
        if isinstance(wrapper, VecNormalize):
            wrapper.obs_rms, wrapper.ret_rms = attributes["obs_rms"], attributes["ret_rms"]


def _wrappers(env: VecEnv) -> Iterator[VecEnvWrapper]:
    while isinstance(env, VecEnvWrapper):
        yield env
        env = env.venv


def _attributes(layer: Any) -> dict[str, Any]:
    """Raises TypeError where a part of the state is out of reach."""
    wrapper = isinstance(layer, gym.Wrapper | VecEnvWrapper)
    state = {}
    for name, value in vars(layer).items():
        if (wrapper and name in WRAPPED) or isinstance(value, NOT_STATE) or type(value).__name__ in NOT_STATE_TYPES:
            continue
        if isinstance(value, gym.Env | VecEnv):
            raise TypeError(f"{type(layer).__name__}.{name} is an environment that it does not wrap.")
        state[name] = value
    return state


def _restore(layer: Any, attributes: dict[str, Any]) -> None:
    """Others may hold spaces and MuJoCo's data, so these are changed in place."""
    for name, value in attributes.items():
        present = vars(layer).get(name)
        if isinstance(value, spaces.Space) and isinstance(present, spaces.Space):
            vars(present).update(vars(value))
        elif type(value).__name__ == "MjData" and present is not None:
            import mujoco

            mujoco.mj_copyData(present, layer.model, value)
        else:
            setattr(layer, name, value)
