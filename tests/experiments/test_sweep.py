"""A sweep from its file: which runs it takes, that they are made once, and what becomes of those that fail."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparse_agents.cli import run_command
from sparse_agents.cli.sweep import main
from sparse_agents.experiments.collection import by_label, collect
from sparse_agents.experiments.sweep import Sweep

BASE: dict[str, Any] = {
    "algo": "ds_td3", "n_timesteps": 150, "eval_freq": 50, "eval_episodes": 1,
    "hyperparams": {"learning_starts": 50, "buffer_size": 1000, "policy_kwargs": {"net_arch": [16, 16]}},
}  # fmt: skip
FLAGS = (
    "algo",
    "env",
    "seed",
    "n_timesteps",
    "sparsity",
    "topology",
    "hyperparams",
    "save_replay_buffer",
    "gym_packages",
)


def sweep_file(folder: Path, **content: Any) -> Path:
    path = folder / "sweep.yml"
    path.write_text(yaml.safe_dump({"logs": str(folder / "logs"), "base": BASE, **content}, sort_keys=False))
    return path


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    run_command(main, [*arguments, "--json"])
    runs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    return runs


def told_of_mistakes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        run_command(main, [*arguments, "--json"])
    assert stopped.value.code == 2
    runs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    return runs


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        run_command(main, arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_every_combination_by_seeds(tmp_path: Path) -> None:
    grid = {
        "sparsity": [0.5, 0.9], "seed": [3, 4], "hyperparams.policy_kwargs.net_arch": [[8], [16, 16]],
        "env": ["Pendulum-v1"],
    }  # fmt: skip
    base = {"algo": "td3", "n_timesteps": 70, "save_replay_buffer": False, "gym_packages": ["json", "csv"],
            "hyperparams": {"policy_kwargs": {"activation_fn": "relu"}}}  # fmt: skip
    commands = list(Sweep.read(sweep_file(tmp_path, base=base, grid=grid), FLAGS).commands(1))
    assert len(commands) == len({command.folder for command in commands}) == 8
    assert [command.title.split(", ")[0] for command in commands] == ["seed 3"] * 4 + ["seed 4"] * 4
    assert commands[1].arguments == (
        "--algo", "td3", "-n", "70", "--no-save-replay-buffer", "--gym-packages", "json", "csv",
        "--hyperparams", "policy_kwargs:{'activation_fn': 'relu', 'net_arch': [16, 16]}",
        "--seed", "3", "--sparsity", "0.5", "--env", "Pendulum-v1",
    )  # fmt: skip
    assert commands[1].steps == 70
    assert commands[1].folder.parent.name.startswith("sparsity=0.5,net_arch=_16,_16_,env=Pendulum-v1-")
    assert commands[1].folder.name == "seed_3"


def test_a_dry_run_finds_settings_that_cannot_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = {"env": ["Pendulum-v1"], "topology": ["set", "rigle"], "sparsity": [0.5, 1.5], "seed": [0, 1]}
    said = refused([str(sweep_file(tmp_path, grid=grid)), "--dry-run"], capsys)
    assert [line.partition(":")[0] for line in said.splitlines()[1:]] == [
        f"seed 0, env Pendulum-v1, topology {topology}, sparsity {sparsity}"
        for topology, sparsity in (("set", 1.5), ("rigle", 0.5), ("rigle", 1.5))
    ]
    assert "Did you mean 'rigl'" in said
    assert not (tmp_path / "logs").exists()


def test_an_unknown_environment_leaves_the_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(sweep_file(tmp_path, grid={"env": ["Pendulum-v7", "Pendulum-v1"], "sparsity": [0.5]}))
    mistakes = [run["mistake"] for run in told_of_mistakes([file, "--dry-run"], capsys)]
    assert "Unknown environment 'Pendulum-v7'" in mistakes[0]
    assert mistakes[1] is None


def test_a_run_whose_episodes_are_longer_than_it_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two environments, no checkpoint, no complete episode: what the final model says counts."""
    base = {**BASE, "algo": "td3", "n_envs": 2, "eval_freq": -1, "save_freq": -1}
    file = str(sweep_file(tmp_path, base=base, grid={"env": ["Pendulum-v1"]}))
    assert [run["done"] for run in told([file], capsys)] == [True]
    assert len(list((tmp_path / "logs").rglob("0.monitor.csv"))) == 1
    told([file], capsys)
    assert len(list((tmp_path / "logs").rglob("0.monitor.csv"))) == 1, "it was not made again"


def test_it_runs_once_and_is_plotted_by_what_was_swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(sweep_file(tmp_path, grid={"env": ["Pendulum-v1"], "sparsity": [0.5, 0.8]}))
    assert [run["done"] for run in told([file, "--dry-run"], capsys)] == [False, False]
    runs = told([file], capsys)
    assert [run["done"] for run in runs] == [True, True]
    outputs = [(Path(run["folder"]) / "output.txt").stat().st_mtime_ns for run in runs]
    told([file], capsys)
    assert outputs == [(Path(run["folder"]) / "output.txt").stat().st_mtime_ns for run in runs]
    labels = by_label(collect([tmp_path / "logs"]))
    assert list(labels) == ["sparsity 0.5", "sparsity 0.8"]
    sweep_file(tmp_path, base={**BASE, "eval_episodes": 2}, grid={"env": ["Pendulum-v1"], "sparsity": [0.5, 0.8]})
    assert "has a run of other settings" in refused([file], capsys)


def test_a_run_that_fails_leaves_the_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(sweep_file(tmp_path, grid={"env": ["Pendulum-v1"], "sparsity": [1.5, 0.5]}))
    message = refused([file, "--workers", "1"], capsys)
    assert "sparsity 1.5 failed: error: sparsity=1.5 is not in [0, 1)" in message
    assert "sparsity 0.5" not in message
    runs = told_of_mistakes([file, "--dry-run"], capsys)
    assert [(run["done"], run["mistake"] is None) for run in runs] == [(False, False), (True, True)]


def test_ctrl_c_lets_every_run_save(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = {**BASE, "n_timesteps": 100_000, "save_freq": 100, "eval_freq": -1, "sparsity": 0.5}
    file = sweep_file(tmp_path, base=base, grid={"env": ["Pendulum-v1"]})
    command = [sys.executable, "-m", "sparse_agents.cli", "sweep", str(file)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which background shells have ignored
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while not list((tmp_path / "logs").glob("**/checkpoints/step_[1-9]*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Continue with --resume" in next((tmp_path / "logs").glob("*/seed_0/output.txt")).read_text()
    sweep_file(tmp_path, base={**base, "n_timesteps": 1}, grid={"env": ["Pendulum-v1"]})
    assert [run["done"] for run in told([str(file)], capsys)] == [True], "what it had reached is enough"


@pytest.mark.slow
def test_the_same_layout_on_a_ray_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    grid = {"env": ["Pendulum-v1"], "sparsity": [0.5, 1.5, 0.8]}
    file = sweep_file(tmp_path, grid=grid)
    message = refused([str(file), "--engine", "ray", "--workers", "2"], capsys)
    assert "sparsity 1.5 failed" in message
    assert [run["done"] for run in told_of_mistakes([str(file), "--dry-run"], capsys)] == [True, False, True]
    on_ray = {path.relative_to(tmp_path / "logs") for path in (tmp_path / "logs").rglob("*.zip")}
    (tmp_path / "logs").rename(tmp_path / "elsewhere")
    refused([str(file), "--workers", "2"], capsys)
    assert on_ray == {path.relative_to(tmp_path / "logs") for path in (tmp_path / "logs").rglob("*.zip")}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "is not a sweep"),
        ({"grid": {}}, "mappings from flags"),
        ({"grid": {"seed": 3}}, "grid.seed is not a list"),
        ({"grid": {"seed": []}}, "grid.seed is not a list"),
        ({"grid": {"sparsty": [0.5]}}, "Unknown flag of the train command 'sparsty'. Did you mean 'sparsity'"),
        ({"grid": {"resume": ["x"]}}, "Unknown flag of the train command 'resume'"),
        ({"grid": {"env.id": ["x"]}}, "only hyperparams and topology_kwargs have settings within"),
        ({"grid": {"env": ["Pendulum-v7"]}}, "Unknown environment 'Pendulum-v7'"),
        ({"grid": {"seed": [0, 1, 0]}}, "The sweep has two runs for"),
        ({"grid": {"seed": [0, "0"]}}, "leave one out of the grid"),
        ({"grid": {"n_timesteps": ["abc"]}}, "n_timesteps: 'abc' is not a number of environment steps"),
        ({"grid": {"seed": [0]}, "steps": 3}, "Unknown key of a sweep 'steps'"),
        ({"grid": {"seed": [0]}, "base": {"hyperparams": ["a:1"]}}, "base.hyperparams is not a mapping"),
        ({"grid": {"hyperparams.learning_starts.x": [0]}}, "learning_starts has a value in base"),
    ],
)
def test_what_is_not_understood_is_named(
    content: dict[str, Any], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in refused([str(sweep_file(tmp_path, **content)), "--dry-run"], capsys)


@pytest.mark.parametrize(
    ("flags", "says"), [(["--engine", "slurm"], "Unknown engine 'slurm'"), (["--workers", "0"], "--workers 0")]
)
def test_bad_flags(flags: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused([str(sweep_file(tmp_path, grid={"seed": [0]})), *flags], capsys)


def test_logs_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([str(sweep_file(tmp_path, logs="/proc/logs", grid={"seed": [0]}))], capsys)
    assert "cannot write there" in said


def test_the_shipped_sweep_is_understood(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = Path(__file__).parents[2] / "scripts" / "sweeps" / "pendulum.yml"
    assert len(told([str(shipped), "--dry-run"], capsys)) == 12
