"""Runs killed at any moment, resumed until they are done, end as the run that was left alone."""

from __future__ import annotations

import random
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

COMMAND = str(Path(sysconfig.get_path("scripts"), "sparse-agents"))
RUNS = {
    "td3": ["--algo", "td3", "--env", "HalfCheetah-v5", "--hyperparams", "learning_starts:50", "batch_size:16",
            "buffer_size:500", "policy_kwargs:{'net_arch':[32,32]}"],
    "ppo": ["--algo", "ppo", "--env", "Pendulum-v1", "--n-envs", "2", "--hyperparams", "n_steps:32", "batch_size:32",
            "normalize:True"],
}  # fmt: skip
ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"td3": TD3, "ppo": PPO}
COMMON = ["-n", "800", "--eval-freq", "100", "--eval-episodes", "1", "--save-freq", "50", "--verbose", "0",
          "--topology", "set", "--update-interval", "20", "--num-threads", "1"]  # fmt: skip


def finish(arguments: list[str], cwd: Path) -> None:
    subprocess.run([COMMAND, "train", *arguments], cwd=cwd, check=True, capture_output=True, timeout=200)


def kill_after(seconds: float, arguments: list[str], cwd: Path) -> bool:
    """Whether it was still running."""
    process = subprocess.Popen(
        [COMMAND, "train", *arguments], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, err.decode()
    return False


def folder_of(algo: str, cwd: Path) -> Path:
    return next((cwd / "logs" / algo).glob("*_1"))


def wait_for_checkpoint(algo: str, cwd: Path) -> None:
    """Start the run, and kill it as soon as there is something to resume from."""
    process = subprocess.Popen(
        [COMMAND, "train", *RUNS[algo], *COMMON], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list((cwd / "logs").glob("*/*/checkpoints/step_*[0-9]")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("algo", RUNS)
def test_killed_at_random_moments(algo: str, tmp_path: Path) -> None:
    """With a checkpoint every 50 steps, many of the kills come while one is written."""
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    alone.mkdir()
    killed.mkdir()
    begin = time.monotonic()
    finish([*RUNS[algo], *COMMON], alone)
    whole = time.monotonic() - begin
    wait_for_checkpoint(algo, killed)
    rng = random.Random(0)
    resume = ["--resume", str(folder_of(algo, killed))]
    kills = sum(kill_after(rng.uniform(0.4, 0.8) * whole, resume, killed) for _ in range(6))
    finish(resume, killed)
    assert kills >= 1
    one, other = folder_of(algo, alone), folder_of(algo, killed)
    with np.load(one / "evaluations.npz") as a, np.load(other / "evaluations.npz") as b:
        for name in ("timesteps", "results", "ep_lengths"):
            assert np.array_equal(a[name], b[name]), name
    models = [ALGORITHMS[algo].load(next(folder.glob("*-v?.zip")), device="cpu") for folder in (one, other)]
    first, second = (model.policy.state_dict() for model in models)
    for name, value in first.items():
        if torch.is_tensor(value):
            assert torch.equal(value, second[name]), name
