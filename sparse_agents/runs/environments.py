"""Environments and devices by name, with errors that help."""

from __future__ import annotations

import gymnasium as gym
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.errors import ConfigurationError, unknown


def check_environment(env_id: str) -> None:
    """Raise a ConfigurationError, with close matches, for an environment Gymnasium does not have."""
    try:
        gym.spec(env_id)
    except gym.error.Error:
        raise unknown("environment", env_id, gym.registry) from None


def make_env(env_id: str, seed: int | None, monitor_dir: str | None = None, keep_monitor: bool = False) -> VecEnv:
    """One monitored environment, as a vector of one. ``keep_monitor`` appends to an existing monitor file."""
    check_environment(env_id)
    try:
        return make_vec_env(
            env_id,
            n_envs=1,
            seed=seed,
            monitor_dir=monitor_dir,
            monitor_kwargs={"override_existing": not keep_monitor} if monitor_dir else None,
        )
    except gym.error.DependencyNotInstalled as error:
        raise ConfigurationError(f"{env_id} needs a package that is not installed: {error}") from error


def check_device(device: str) -> str:
    """Refuse a device that cannot be used, instead of falling back in silence."""
    if device in ("auto", "cpu"):
        return "cpu"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ConfigurationError(f"--device {device}: no CUDA device is available here. Use --device cpu.")
        raise ConfigurationError(f"--device {device}: this version computes on the CPU only. Use --device cpu.")
    raise unknown("device", device, ["auto", "cpu", "cuda"])
