"""The commands as a user types them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import run_here
from stable_baselines3 import TD3

from sparse_agents import DSTD3
from sparse_agents.cli import COMMANDS
from sparse_agents.errors import ConfigurationError

SHORT = ["--hyperparams", "learning_starts:50", "--eval-episodes", "1", "--verbose", "0", "--num-threads", "1"]


def run(*arguments: str, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """The installed command, which does not have the working directory on its path as ``python -m`` does."""
    command = [Path(sysconfig.get_path("scripts"), "sparse-agents"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


def train(cwd: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return run(
        "train", "--env", "Pendulum-v1", "-n", "300", "--eval-freq", "100", "--save-freq", "100", *SHORT, *more, cwd=cwd
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    root = tmp_path_factory.mktemp("run")
    done = train(root, "--sparsity", "0.8", "--topology", "set")
    assert done.returncode == 0, done.stderr
    assert "tensorboard --logdir logs" in done.stdout
    return root / "logs" / "ds_td3" / "Pendulum-v1_1"


def test_a_run_leaves_the_zoo_layout(trained: Path) -> None:
    names = {str(p.relative_to(trained)) for p in trained.rglob("*") if p.is_file()}
    for expected in ("Pendulum-v1.zip", "best_model.zip", "evaluations.npz", "0.monitor.csv",
                     "Pendulum-v1/args.yml", "Pendulum-v1/config.yml"):  # fmt: skip
        assert expected in names
    assert any(name.startswith("tb/events.out.tfevents") for name in names)
    assert np.load(trained / "evaluations.npz")["timesteps"].tolist() == [100, 200, 300]


def test_a_run_says_what_it_is_too_short_for(tmp_path: Path) -> None:
    done = run("train", "--env", "Pendulum-v1", "-n", "40", *SHORT, cwd=tmp_path)
    assert done.returncode == 0
    assert "No gradient step will be taken: learning_starts=50 of 40 steps" in done.stdout
    assert "Evaluated at the end alone: --eval-freq 25000 is beyond 40 steps" in done.stdout
    long_enough = train(tmp_path)
    assert "No gradient step" not in long_enough.stdout
    assert "Evaluated at the end alone" not in long_enough.stdout


def test_tensorboard_has_the_sparsity_scalars(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "tb"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"eval/mean_reward", "sparsity/total", "topology/exploration/total", "flops/training"} <= tags
    assert {"connections/actor.mu.2", "sparsity/critic.qf1.0", "dormant/critic.qf0.3"} <= tags


def test_evaluate_a_run_and_a_model(trained: Path, tmp_path: Path) -> None:
    done = run_here("evaluate", str(trained), "-n", "2", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["episodes"] == len(result["returns"]) == 2
    assert result["model"].endswith("best_model.zip")
    model = ["--algo", "ds_td3", "--env", "Pendulum-v1"]
    alone = run_here("evaluate", str(trained / "Pendulum-v1.zip"), *model, "-n", "1", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    assert "Pendulum-v1" in alone.stdout
    without = tmp_path / "Pendulum-v1_1"
    shutil.copytree(trained, without)
    (without / "best_model.zip").unlink()
    other = run_here("evaluate", str(without), "-n", "1", "--json", cwd=tmp_path)
    assert json.loads(other.stdout)["model"].endswith("Pendulum-v1.zip")
    asked = run_here("evaluate", str(without), "--which", "best", cwd=tmp_path)
    assert asked.returncode == 2
    assert "best_model.zip" in asked.stderr


def test_settings_are_those_given(trained: Path) -> None:
    config = yaml.safe_load((trained / "Pendulum-v1" / "config.yml").read_text())
    assert config["policy_kwargs"] == {"sparsity": 0.8, "topology": "set"}


def test_too_short_a_length_is_not_kept(trained: Path, tmp_path: Path) -> None:
    settings = trained / "Pendulum-v1" / "args.yml"
    before = settings.read_text()
    done = run("train", "--resume", str(trained), "-n", "20", cwd=tmp_path)
    assert "asks for no more" in done.stdout
    assert settings.read_text() == before


def test_resume_goes_on_with_its_history(trained: Path, tmp_path: Path) -> None:
    done = run("train", "--resume", str(trained), "-n", "500", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at step 300" in done.stdout
    assert np.load(trained / "evaluations.npz")["timesteps"].tolist() == [100, 200, 300, 400, 500]


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparse_agents.cli", "train", "--env", "Pendulum-v1", "-n", "100000",
               "--eval-freq", "-1", "--save-freq", "100", *SHORT]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    folder = tmp_path / "logs" / "ds_td3" / "Pendulum-v1_1"
    deadline = time.monotonic() + 90
    while not (folder / "checkpoints" / "step_300").is_dir():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    reached = max(int(p.name.split("_")[1]) for p in (folder / "checkpoints").glob("step_*") if p.suffix != ".draft")
    done = run("train", "--resume", str(folder), "-n", str(reached + 100), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"at step {reached}" in done.stdout
    assert (folder / "Pendulum-v1.zip").is_file()


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sparse_agents.cli", "train", "--env", "Pendulum-v1", "-n", "100000",
               "--eval-freq", "-1", "--save-freq", "100", *SHORT]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "logs" / "ds_td3" / "Pendulum-v1_1"
    deadline = time.monotonic() + 90
    while not (folder / "checkpoints" / "step_100").is_dir():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Continue with --resume" in out


def test_a_second_ctrl_c_leaves_the_checkpoints_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the agent may be half way through an update."""
    from sparse_agents import cli

    train_once = DSTD3.train

    def interrupted(self: DSTD3, gradient_steps: int, batch_size: int = 100) -> None:
        train_once(self, gradient_steps, batch_size)
        if self.num_timesteps == 130:
            raise KeyboardInterrupt

    monkeypatch.setattr(DSTD3, "train", interrupted)
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--env", "Pendulum-v1", "-n", "300", "--eval-freq", "-1", "--save-freq", "100", *SHORT]
    monkeypatch.setattr(sys, "argv", ["sparse-agents", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    checkpoints = tmp_path / "logs" / "ds_td3" / "Pendulum-v1_1" / "checkpoints"
    assert [p.name for p in checkpoints.glob("step_*")] == ["step_100"]
    assert "as its last checkpoint left it" in capsys.readouterr().out


BAD = [
    (["train", "--sparsity", "1.2"], "sparsity=1.2 is not in"),
    (["train", "--sparsity", "-0.1"], "sparsity=-0.1 is not in"),
    (["train", "--topology", "rigel"], "Did you mean 'rigl'"),
    (["train", "--env", "HalfCheeta-v5"], "Did you mean 'HalfCheetah-v5'"),
    (["train", "--update-interval", "0"], "update_interval=0"),
    (["train", "--algo", "ds_td4"], "Did you mean 'ds_td3'"),
    (["train", "--device", "cuda"], "no CUDA device"),
    (["train", "--device", "gpu"], "Unknown device 'gpu'"),
    (["train", "--n-timesteps", "0"], "--n-timesteps 0"),
    (["train", "--eval-freq", "0"], "--eval-freq 0"),
    (["train", "--seed", "-1"], "--seed -1 is not in"),
    (["train", "--hyperparams", "policy_kwargs:3"], "policy_kwargs:3 is not a dictionary"),
    (["train", "--log-folder", "/proc/version"], "--log-folder /proc/version: cannot write there"),
    (["train", "--algo", "td3", "--policy", "MlpPolicy", "--topology", "set"], "is dense and takes no --topology"),
    (["train", "--num-threads", "0"], "--num-threads 0"),
    (["train", "--hyperparams", "batch_size=3"], "write name:value"),
    (["train", "--topology-kwargs", "m=3"], "--topology-kwargs 'm=3'"),
    (["train", "--topology", "nm", "--topology-kwargs", "m:7"], "which groups of m=7 do not divide"),
    (["train", "--gym-packages", "no_such_module"], "No module named 'no_such_module'"),
    (["train", "--hyperparams", "batchsize:3"], "Unknown setting of ds_td3 'batchsize'. Did you mean 'batch_size'"),
    (["train", "--algo", "td3", "--hyperparams", "batch_size:0"], "batch_size:0: at least 1"),
    (["train", "--algo", "sac", "--hyperparams", "gamma:high"], "gamma:high is not a number, such as 0.99"),
    (["train", "--hyperparams", "policy_kwargs:{'netarch':[3]}"], "Did you mean 'net_arch'"),
    (["train", "--hyperparams", "policy_kwargs:{'net_arch':[-3]}"], "ds_td3 cannot be built with these settings"),
    (["train_sequence", "--sequence", "split-digitz"], "Did you mean 'split-digits'"),
    (["train_sequence", "--learning-rate", "-1"], "--learning-rate -1.0: a number above 0"),
    (["train_sequence", "--sequence", "pendulum-gravity", "--hyperparams", "gama:1"], "Did you mean 'gamma'"),
    (["evaluate", "nowhere", "--seed", "-1"], "--seed -1 is not in"),
    (["benchmark", "kernels", "--official", "."], "--official is for agents, without --quick"),
    (["benchmark", "agents", "--official", "nowhere"], "--official nowhere is not a folder"),
    (["benchmark", "kernels", "--json", "/proc/b.json"], "--json /proc/b.json: cannot write there"),
    (["train", "--hyperparams", "seed:3"], "flag of its own, --seed"),
    (["train", "--hyperparams", "normalize:maybe"], "normalize='maybe': True, False"),
    (["train", "--algo", "ppo_mask", "--env", "CartPole-v1"], "this one has no action_masks()"),
    (["train", "--algo", "ppo_lstm", "--env", "CartPole-v1"], "Did you mean 'SparseMlpLstmPolicy'"),
    (["train", "--policy", "MlpPolicy", "--algo", "td3", "--sparsity", "0.5"], "is dense and takes no --sparsity"),
    (["train", "--resume", "nowhere"], "is not a run folder"),
    (["train", "--sparsty", "0.5"], "sparsty"),
    (["evaluate", "nowhere"], "no run folder and no model"),
    (["evaluate", "nowhere", "-n", "0"], "--n-eval-episodes 0"),
    (["evaluate", __file__, "--algo", "td3", "--env", "Pendulum-v1", "--normalization", "n.pkl"], "no such file"),
    (["benchmark", "kernel"], "Did you mean 'kernels'"),
    (["trian"], "unknown command 'trian'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sparse_agents import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sparse-agents", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err + captured.out
    assert "Traceback" not in captured.err
    assert not (tmp_path / "logs").exists()


def test_a_cut_short_model_is_named(trained: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.zip"
    content = (trained / "Pendulum-v1.zip").read_bytes()
    short.write_bytes(content[: len(content) // 2])
    done = run_here("evaluate", str(short), "--algo", "ds_td3", "--env", "Pendulum-v1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error:")
    assert "short.zip" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_defaults(command: str, tmp_path: Path) -> None:
    done = run_here(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "default:" in done.stdout


def test_version_is_that_of_the_installed_package(tmp_path: Path) -> None:
    assert run_here("--version", cwd=tmp_path).stdout == f"sparse-agents {metadata.version('sparse-agents')}\n"


def test_a_rule_of_ones_own_in_a_file_of_ones_own(tmp_path: Path) -> None:
    """Trained, evaluated and resumed; its options come from the command line."""
    (tmp_path / "my_rules.py").write_text(
        "from sparse_agents.rules import SET, register\n\n\n"
        "class Mine(SET):\n    def __init__(self, taste=0):\n"
        "        assert taste == 7\n        super().__init__()\n\n\n"
        "register('mine', Mine)\n"
    )
    mine = ["--gym-packages", "my_rules", "--topology", "mine", "--topology-kwargs", "taste:7"]
    short = ["--env", "Pendulum-v1", "-n", "150", "--save-freq", "100", "--eval-freq", "-1", *SHORT]
    done = run("train", *short, *mine, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = "logs/ds_td3/Pendulum-v1_1"
    evaluated = run("evaluate", folder, "-n", "1", "--which", "final", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    resumed = run("train", "--resume", folder, "-n", "200", "--verbose", "0", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming" in resumed.stdout


@pytest.mark.parametrize("algo", [pytest.param("td3", marks=pytest.mark.slow), "ds_td3"])
def test_the_length_of_the_run_is_the_end_of_pruning_and_annealing(algo: str, tmp_path: Path) -> None:
    short = ["--env", "Pendulum-v1", "-n", "200", "--save-freq", "-1", "--eval-freq", "-1", *SHORT]
    done = run("train", "--algo", algo, *short, "--topology", "gmp", "--update-interval", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kind = {"td3": TD3, "ds_td3": DSTD3}[algo]
    model = kind.load(tmp_path / "logs" / algo / "Pendulum-v1_1" / "Pendulum-v1.zip")
    for controller in model.policy.topology_controllers.values():
        assert {name: layer.topology.nnz for name, layer in controller.layers.items()} == controller.budgets
        assert controller.schedule.end == controller.steps or algo == "ds_td3"
    cosine = ["--topology", "rigl", "--topology-kwargs", "schedule:cosine"]
    annealed = run("train", "--algo", algo, *short, *cosine, cwd=tmp_path)
    assert annealed.returncode == 0, annealed.stderr


def test_a_resumed_run_has_its_number_of_threads(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which changes the order of sums, and with it all that follows."""
    from sparse_agents.cli import train as command

    asked: list[int] = []

    def stop(count: int) -> None:
        asked.append(count)
        raise ConfigurationError("enough")

    monkeypatch.setattr(command, "set_threads", stop)
    with pytest.raises(ConfigurationError, match="enough"):
        command.main(["--resume", str(trained), "-n", "5000"])
    assert asked == [1]
