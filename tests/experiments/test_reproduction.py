"""A published comparison, run in small: what is run, what is read from it, and what is said of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments import ds_td3_paper as paper
from sparse_agents.experiments.commands import TrainCommand, _alone, run_commands
from sparse_agents.experiments.intervals import bootstrap_interval
from sparse_agents.experiments.learning_curves import Curves, History
from sparse_agents.experiments.reproduction import markdown
from sparse_agents.runs import RunFolder

SHORT = (
    "--algo", "ds_td3", "--env", "Pendulum-v1", "--hyperparams", "learning_starts:100", "buffer_size:1000",
    "--eval-freq", "100", "--eval-episodes", "1", "--save-freq", "200", "--num-threads", "1", "--verbose", "0",
)  # fmt: skip


def command(folder: Path, steps: int) -> TrainCommand:
    return TrainCommand("a run", (*SHORT, "-n", str(steps)), folder, steps)


def run_with(folder: Path, returns: np.ndarray, timesteps: np.ndarray) -> RunFolder:
    """Evaluations as Stable-Baselines3 leaves them, ``returns [evaluations, episodes]``."""
    run = RunFolder(folder, "Pendulum-v1")
    folder.mkdir()
    np.savez(run.evaluations, timesteps=timesteps, results=returns, ep_lengths=returns)
    return run


def test_settings_are_the_papers() -> None:
    for env, first in paper.ENVIRONMENTS.items():
        for name, variant in paper.VARIANTS.items():
            arguments = " ".join(variant.arguments(env, 3, 1000))
            assert "--eval-freq 5000 --eval-episodes 10" in arguments
            assert "{{" not in arguments
            if name == "TD3":
                assert "'weight_decay':2e-4" in arguments
                assert "batch_size:100 learning_starts:25000 noise_type:normal noise_std:0.1" in arguments
            else:
                assert f"'lambdas':[{first},64]" in arguments
            assert ("--topology static" in arguments) == (name == "Static-TD3")
    assert {*paper.PUBLISHED} == {*paper.ENVIRONMENTS}


def test_curves_and_their_summaries(tmp_path: Path) -> None:
    steps = np.array([100, 200, 300, 400])
    one = run_with(tmp_path / "1", np.array([[0.0, 2], [2, 4], [4, 6], [90, 90]]), steps)
    two = run_with(tmp_path / "2", np.array([[1.0, 1], [1, 1], [1, 1], [90, 90]]), steps)
    curves = Curves.of([History.of(one), History.of(two)], 300)
    assert curves.timesteps.tolist() == [100, 200, 300]
    assert curves.returns.tolist() == [[1, 3, 5], [1, 1, 1]]
    assert curves.last(2).tolist() == [4, 1]
    mean, low, high = bootstrap_interval(curves.last(2))
    assert (mean, low, high) == (2.5, 1, 4)
    assert bootstrap_interval(curves.last(2)[:1]).low == -np.inf
    table = markdown("HalfCheetah-v5", {"TD3": curves}, 300)
    assert "**Partial**" in table
    assert "| TD3 | 2 [1, 3] | 11153 ± 473 | 0.0004 | 1.7686 |" in table
    assert "Partial" not in markdown("HalfCheetah-v5", {"TD3": curves}, paper.STEPS)
    other = run_with(tmp_path / "3", np.zeros((2, 2)), np.array([50, 100]))
    with pytest.raises(CheckpointError, match="other evaluations"):
        Curves.of([History.of(one), History.of(other)], 300)
    with pytest.raises(CheckpointError, match="has not been evaluated"):
        History.of(RunFolder(tmp_path / "none", "Pendulum-v1"))


@pytest.mark.slow
def test_runs_are_made_once_prolonged_and_failures_named(tmp_path: Path) -> None:
    first = command(tmp_path / "a", 300)
    assert first.run_folder() is None
    run_commands([first], 1)
    run = first.run_folder()
    assert run is not None
    assert first.done()
    assert first.steps_done(run) == 300
    written = run.final_model.stat().st_mtime_ns
    run_commands([first], 1)
    assert run.final_model.stat().st_mtime_ns == written
    longer = command(tmp_path / "a", 500)
    assert not longer.done()
    run_commands([longer], 1)
    assert np.load(run.evaluations)["timesteps"].tolist() == [100, 200, 300, 400, 500]
    bad = TrainCommand("a bad run", ("--algo", "nothing"), tmp_path / "b", 100)
    with pytest.raises(CheckpointError, match=r"a bad run failed: error: Unknown algorithm 'nothing'.*output.txt"):
        run_commands([bad], 1)
    assert "Unknown algorithm 'nothing'" in (tmp_path / "b" / "output.txt").read_text()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    one = command(tmp_path / "a", 100)
    with _alone([one]), pytest.raises(ConfigurationError, match="being written by another process"):
        run_commands([one], 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent on Linux")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_taken_up_again(how: int, tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from test_reproduction import command\n"
        "from sparse_agents.experiments.commands import run_commands\n"
        f"run_commands([command(Path({str(tmp_path / 'a')!r}), 5000)], 1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("a/*/*/checkpoints/step_400")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(how)
    process.wait(timeout=60)
    time.sleep(0.5)
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "a")], capture_output=True, text=True, check=False).stdout
    assert not left, "a run goes on by itself"
    again = command(tmp_path / "a", 1000 if how == signal.SIGKILL else 5000)
    run = again.run_folder()
    assert run is not None
    reached = again.steps_done(run)
    assert 400 <= reached < 5000
    longer = TrainCommand("again", again.arguments, again.folder, reached + 200)
    run_commands([longer], 1)
    assert longer.done()
