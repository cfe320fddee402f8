"""Environments and devices by name, with errors that help."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.runs.environment_state import KeepsState
from sparse_agents.runs.masks import evaluator

VEC_ENVS: dict[str, type[DummyVecEnv] | type[SubprocVecEnv]] = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}


def _silence_known_warning() -> None:
    """MuJoCo 4 warns on Gymnasium's own model files, which no user can change. All else still shows."""
    try:
        import mujoco
    except ImportError:
        return
    mujoco.set_mju_user_warning(lambda text: None if "settotalmass" in text else print(text, file=sys.stderr))


@dataclass(frozen=True)
class _Make:
    """Makes an environment, in this process or in one that is there for it alone."""

    env_id: str
    own_process: bool
    packages: tuple[str, ...]

    def __call__(self) -> gym.Env:
        if self.own_process:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that can save the run
            _silence_known_warning()
            sys.path.append(os.getcwd())
            for package in self.packages:
                importlib.import_module(package)
        return gym.make(self.env_id)


def film(env_id: str, seed: int, folder: Path, episodes: int) -> VecEnv:
    """An environment that needs no display to write a video of each of its first episodes.

    Raises:
        ConfigurationError: where the environment does not draw itself, or a package for it is not installed.
    """
    if "mujoco" not in sys.modules and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    check_environment(env_id)
    _silence_known_warning()
    try:
        env = gym.make(env_id, render_mode="rgb_array")
        env.reset()
        env.render()
        filmed = RecordVideo(
            env, str(folder), episode_trigger=lambda episode: episode < episodes,
            name_prefix=env_id.replace("/", "-"), disable_logger=True,
        )  # fmt: skip
    except gym.error.DependencyNotInstalled as error:
        raise ConfigurationError(f"A video of {env_id} needs a package that is not installed: {error}") from error
    except (TypeError, ValueError, gym.error.Error) as error:
        raise ConfigurationError(f"{env_id} does not draw itself, so there is nothing to film: {error}") from error
    made = DummyVecEnv([lambda: Monitor(filmed)])
    made.seed(seed)
    return made


def check_environment(env_id: str) -> None:
    """Raise a ConfigurationError, with close matches, for an environment Gymnasium does not have."""
    try:
        gym.spec(env_id)
    except gym.error.Error:
        raise unknown("environment", env_id, gym.registry) from None


def make_env(
    env_id: str,
    seed: int | None,
    monitor_dir: str | None = None,
    keep_monitor: bool = False,
    n_envs: int = 1,
    vec_env: str = "dummy",
    packages: Sequence[str] = (),
) -> VecEnv:
    """Monitored environments whose state can be saved.

    Args:
        env_id: Gymnasium's.
        seed: of the first; the others have the next ones.
        monitor_dir: where each writes its episodes.
        keep_monitor: append to the files that are there.
        n_envs: how many.
        vec_env: ``"dummy"``, one after the other in this process, or ``"subproc"``, a process each.
        packages: to import in these processes first, for the environments they register.
    """
    check_environment(env_id)
    if vec_env not in VEC_ENVS:
        raise unknown("vec_env", vec_env, VEC_ENVS)
    _silence_known_warning()
    try:
        return make_vec_env(
            _Make(env_id, vec_env == "subproc", tuple(packages)),
            n_envs=n_envs,
            seed=seed,
            monitor_dir=monitor_dir,
            wrapper_class=KeepsState,
            vec_env_cls=VEC_ENVS[vec_env],
            monitor_kwargs={"override_existing": not keep_monitor} if monitor_dir else None,
        )
    except gym.error.DependencyNotInstalled as error:
        raise ConfigurationError(f"{env_id} needs a package that is not installed: {error}") from error


def check_device(device: str) -> str:
    """Refuse a device that cannot be used, instead of falling back in silence. ``auto`` is the processor."""
    if device in ("auto", "cpu"):
        return "cpu"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ConfigurationError(f"--device {device}: no CUDA device is available here. Use --device cpu.")
        return device
    raise unknown("device", device, ["auto", "cpu", "cuda"])


def evaluate(
    model: BaseAlgorithm,
    env: VecEnv,
    episodes: int,
    deterministic: bool = True,
    callback: Callable[[dict[str, Any], dict[str, Any]], None] | None = None,
) -> tuple[list[float], list[int]]:
    """Return and length of each episode; ``callback``: called at every step with local and global variables."""
    returns, lengths = evaluator(model)(
        model,
        env,
        n_eval_episodes=episodes,
        deterministic=deterministic,
        return_episode_rewards=True,
        callback=callback,
    )
    assert isinstance(returns, list)
    assert isinstance(lengths, list)
    return [float(r) for r in returns], lengths
