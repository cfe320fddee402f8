"""Other algorithms than TD3 from the command line, in several environments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

COMMAND = str(Path(sysconfig.get_path("scripts"), "sparse-agents"))
QUIET = ["--verbose", "0", "--num-threads", "1", "--eval-episodes", "1"]
MASKED = '''
import gymnasium as gym
import numpy as np


class Masked(gym.Env):
    """One action of four is valid at a time, and others are errors."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(3, np.float32), {}

    def action_masks(self):
        return [self.steps % 4 == action for action in range(4)]

    def step(self, action):
        assert self.action_masks()[int(action)]
        self.steps += 1
        return np.zeros(3, np.float32), 1.0, False, self.steps == 9, {}


gym.register("Masked-v0", Masked)
'''


def train(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "train", *arguments, *QUIET]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=150, check=False)


@pytest.mark.parametrize(
    ("algo", "env"), [("a2c", "CartPole-v1"), ("qrdqn", "CartPole-v1"), ("ars", "CartPole-v1"), ("trpo", "Pendulum-v1")]
)
def test_algorithms_that_write_into_their_settings_or_have_few(algo: str, env: str, tmp_path: Path) -> None:
    done = train(tmp_path, "--algo", algo, "--env", env, "-n", "200", "--eval-freq", "-1", "--save-freq", "100")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs" / algo / f"{env}_1"
    assert yaml.safe_load((folder / env / "config.yml").read_text())["policy"] == "SparseMlpPolicy"
    assert (folder / f"{env}.zip").is_file()


def test_masks_are_respected_when_evaluating(tmp_path: Path) -> None:
    (tmp_path / "masked.py").write_text(MASKED)
    done = train(
        tmp_path, "--algo", "ppo_mask", "--env", "Masked-v0", "--gym-packages", "masked", "-n", "64",
        "--eval-freq", "32", "-params", "n_steps:32", "batch_size:16",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "logs" / "ppo_mask" / "Masked-v0_1" / "evaluations.npz") as history:
        assert history["results"].tolist() == [[9.0], [9.0]]


@pytest.mark.slow
def test_processes_know_the_packages_and_leave_ctrl_c_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import gymnasium as gym\ngym.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv', "
        "max_episode_steps=50)\n"
    )
    arguments = ["--algo", "ppo", "--env", "Mine-v0", "--gym-packages", "mine", "-n", "1000000", "--n-envs", "2",
                 "--vec-env", "subproc", "--eval-freq", "-1", "--save-freq", "64", "-params", "n_steps:32",
                 "batch_size:32", *QUIET]  # fmt: skip
    process = subprocess.Popen(
        [COMMAND, "train", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("logs/ppo/Mine-v0_1/checkpoints/step_*[0-9]")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Interrupted at step" in out
    folder = tmp_path / "logs" / "ppo" / "Mine-v0_1"
    assert not list(folder.rglob("*.draft"))
    reached = max(int(p.name.removeprefix("step_")) for p in (folder / "checkpoints").glob("step_*"))
    done = train(tmp_path, "--resume", str(folder), f"-n={reached + 128}")
    assert done.returncode == 0, done.stderr
    assert f"at step {reached}" in done.stdout


@pytest.mark.slow
def test_a_prolonged_run_stays_prolonged_and_its_episodes_are_counted_once(tmp_path: Path) -> None:
    run = ["--algo", "td3", "--env", "Pendulum-v1", "-n", "500", "--eval-freq", "-1", "--save-freq", "300",
           "-params", "learning_starts:450"]  # fmt: skip
    assert train(tmp_path, *run).returncode == 0
    folder = tmp_path / "logs" / "td3" / "Pendulum-v1_1"
    before = (folder / "0.monitor.csv").read_text().splitlines()
    assert len(before) == 2 + 2
    newest = folder / "checkpoints" / "step_500"
    newest.rename(tmp_path / "away")
    done = train(tmp_path, "--resume", str(folder), "-n900")
    assert done.returncode == 0, done.stderr
    after = [line.split(",")[:2] for line in (folder / "0.monitor.csv").read_text().splitlines()[2:]]
    assert after[:2] == [line.split(",")[:2] for line in before[2:]]
    assert len(after) == 4
    assert yaml.safe_load((folder / "Pendulum-v1" / "args.yml").read_text())["n_timesteps"] == 900
    refused = train(tmp_path, "--resume", str(folder), "--sparsity", "0.5")
    assert refused.returncode == 2
    assert "--sparsity 0.5: the run has None" in refused.stderr


@pytest.mark.slow
def test_normalised_observations_go_with_the_agent(tmp_path: Path) -> None:
    settings = ["--hyperparams", "normalize:True", "gamma:0.9", "n_steps:64", "batch_size:32"]
    run = ["--algo", "ppo", "--env", "Pendulum-v1", "-n", "256", "--eval-freq", "64", "--save-freq", "64", *settings]
    done = train(tmp_path, *run)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "logs" / "ppo" / "Pendulum-v1_1"
    assert (folder / "best_vecnormalize.pkl").is_file()
    assert (folder / "Pendulum-v1" / "vecnormalize.pkl").is_file()
    assert yaml.safe_load((folder / "Pendulum-v1" / "config.yml").read_text())["normalize"] is True

    evaluate = [COMMAND, "evaluate", "-n", "1", "--json"]
    with_folder = subprocess.run(
        [*evaluate, str(folder), "--which", "final"], capture_output=True, check=True, text=True
    )
    alone = [str(folder / "Pendulum-v1.zip"), "--algo", "ppo", "--env", "Pendulum-v1"]
    statistics = ["--normalization", str(folder / "Pendulum-v1" / "vecnormalize.pkl")]
    with_file = subprocess.run([*evaluate, *alone, *statistics], capture_output=True, check=True, text=True)
    without = subprocess.run([*evaluate, *alone], capture_output=True, check=True, text=True)
    first, second, third = (json.loads(out.stdout)["returns"] for out in (with_folder, with_file, without))
    assert first == second != third

    (folder / "Pendulum-v1.zip").unlink()  # as if killed between the last checkpoint and the end
    (folder / "Pendulum-v1" / "vecnormalize.pkl").unlink()
    again = train(tmp_path, "--resume", str(folder))
    assert again.returncode == 0, again.stderr
    assert (folder / "Pendulum-v1.zip").is_file()
    (folder / "Pendulum-v1" / "vecnormalize.pkl").unlink()
    lost = subprocess.run([*evaluate, str(folder), "--which", "final"], capture_output=True, check=False, text=True)
    assert lost.returncode == 2
    assert "its statistics" in lost.stderr

    more = train(tmp_path, "--resume", str(folder), "-n", "320")
    assert more.returncode == 0, more.stderr
