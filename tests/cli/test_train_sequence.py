"""The command: what it writes, refuses, and goes on with."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sparse_agents.envs.tasks import SEQUENCES as ENVIRONMENT_SEQUENCES

from sparse_agents.cli import run_command
from sparse_agents.cli.options import ALGORITHMS
from sparse_agents.cli.sequence_job import SequenceJob, TrainSequenceArguments
from sparse_agents.cli.train_sequence import main
from sparse_agents.continual.companions import COMPANIONS
from sparse_agents.continual.methods import METHODS

SHORT = ["--num-threads", "1", "--no-progress", "--hidden", "50", "40"]
IMAGES = [*SHORT, "--steps-per-task", "8", "--method", "er"]
AGENT = [
    *SHORT, "--method", "packnet", "--algo", "sac", "--steps-per-task", "40", "--eval-freq", "20",
    "--eval-episodes", "1",
    "--sequence", "sparse_agents/Pendulum-gravity-10-v0,sparse_agents/Pendulum-gravity-5-v0",
    "--hyperparams", "learning_starts:10", "batch_size:8", "--options", "retrain_steps:2",
]  # fmt: skip


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        run_command(main, arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(main, [*IMAGES, "--log-folder", str(tmp_path)])
    out = capsys.readouterr().out
    folder = tmp_path / "split-digits" / "er" / "seed_0"
    assert str(folder) in out
    assert "forgetting" in out
    lines = (folder / "evaluations.csv").read_text().splitlines()
    # Of 5 tasks, known and unknown: before, at 4 moments of each task, and after each.
    assert len(lines) == 1 + 5 * 2 * (1 + 5 * 4 + 5)
    assert list((folder / "tb").iterdir())


def test_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(main, [*AGENT, "--log-folder", str(tmp_path)])
    (evaluations,) = tmp_path.glob("*/sac-packnet/seed_0/evaluations.csv")
    assert len(evaluations.read_text().splitlines()) == 1 + 2 * (1 + 2 * 2 + 2)
    said = capsys.readouterr().out
    assert "actor.actor.latent_pi.0" in said
    assert said.index("what 2 tasks need") < said.index("possible")


def test_a_run_is_not_overwritten_and_keeps_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ["--log-folder", str(tmp_path)]
    run_command(main, [*IMAGES, *here])
    assert "go on with --resume" in refused([*IMAGES, *here], capsys)
    assert "--batch-size 64: the run in" in refused([*IMAGES, *here, "--resume", "--batch-size", "64"], capsys)
    assert "--eval-freq 7: the run in" in (said := refused([*IMAGES, *here, "--resume", "--eval-freq", "7"], capsys))
    assert "was begun with no --eval-freq, and keeps it" in said
    run_command(main, [*IMAGES, *here, "--resume"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sequence", "split-digit"], "Unknown sequence 'split-digit'"),
        (["--method", "spacenett"], "Did you mean 'spacenet'"),
        (["--options", "neuron:0.5"], "option of method 'spacenet' 'neuron'"),
        (["--options", "neurons:0.9", "reserved:0.5"], "do not fit into the network"),
        (["--options", "neurons:abc"], "Option neurons of method 'spacenet' is float, not 'abc'"),
        (["--options", "density:0.5"], "Option density of method 'spacenet' is Sequence[float], not 0.5"),
        (["--options", "density:[0.5,-1,1]"], "density=[0.5, -1, 1]: each between 0 and 1"),
        (["--options", "update_interval:0"], "update_interval=0: at least 1 step"),
        (["--method", "er", "--options", "memory:-5"], "memory=-5: at least 1 sample"),
        (["--method", "packnet", "--options", "retrain_steps:1.5"], "is int | None, not 1.5"),
        (["--method", "packnet", "--options", "retrain_steps:-3"], "retrain_steps=-3: at least 0"),
        (["--method", "ewc", "--options", "strength:-1"], "strength=-1: at least 0"),
        (["--seed", "-1"], "--seed -1 is not in"),
        (["--sequence", "pendulum-gravity", "--hyperparams", "policy_kwargs:5"], "policy_kwargs:5: a dictionary"),
        (["--sequence", "pendulum-gravity", "--hyperparams", "policy_kwargs:{'sparsity':0.5}"], "--sparsity says it"),
        (["--steps-per-task", "0"], "--steps-per-task 0"),
        (["--hidden", "0"], "--hidden 0: give at least 1"),
        (["--sequence", "CartPole-v1"], "CartPole-v1 is one environment: a sequence has several"),
        (["--sequence", "Pendulum-v1,MountainCarContinuous-v0", "--method", "finetune"], "different spaces"),
        (["--sequence", "Pendulum-v1,Pendulum-v2", "--method", "finetune"], "Unknown environment 'Pendulum-v2'"),
        (["--sequence", "none.yml", "--method", "finetune"], "none.yml cannot be read"),
        (["--sequence", "pendulum-gravity", "--method", "joint"], "cannot train agents"),
        (["--sequence", "pendulum-gravity", "--algo", "sak"], "Unknown algorithm 'sak'"),
    ],
)
def test_bad_input_is_named_and_nothing_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused([*SHORT, *arguments, "--log-folder", str(tmp_path / "logs")], capsys)
    assert not (tmp_path / "logs").exists()


def test_the_help_names_all_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    words = set(re.findall(r"[\w+-]+", capsys.readouterr().out))
    assert not {*ALGORITHMS, *METHODS, *COMPANIONS, *ENVIRONMENT_SEQUENCES} - words


def test_every_sequence_has_a_folder_of_its_own() -> None:
    names = {
        sequence: SequenceJob.of(TrainSequenceArguments(sequence=sequence, method="finetune")).folder.parts[-3]
        for sequence in (
            "pendulum-gravity",
            "Pendulum-v1,sparse_agents/Pendulum-gravity-2.5-v0",
            "sparse_agents/Pendulum-gravity-5-v0,sparse_agents/Pendulum-gravity-2.5-v0",
        )
    }
    assert list(names.values()) == [
        "pendulum-gravity", "Pendulum-v1-Pendulum-gravity-2.5-v0", "Pendulum-gravity-5-v0-Pendulum-gravity-2.5-v0",
    ]  # fmt: skip


def test_records_that_are_damaged_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ["--log-folder", str(tmp_path)]
    run_command(main, [*IMAGES, *here])
    folder = tmp_path / "split-digits" / "er" / "seed_0"
    (folder / "evaluations.csv").write_text("")
    assert "does not have the" in refused([*IMAGES, *here, "--resume"], capsys)
    (folder / "settings.yml").write_text("a: [")
    assert "is damaged" in refused([*IMAGES, *here, "--resume"], capsys)


def test_a_users_own_sequence_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("- sparse_agents/Pendulum-gravity-10-v0\n- Pendulum-v1\n")
    place = AGENT.index("--sequence") + 1
    arguments = [*AGENT[:place], str(tmp_path / "mine.yml"), *AGENT[place + 1 :]]
    run_command(main, [*arguments, "--log-folder", str(tmp_path)])
    assert (tmp_path / "mine" / "sac-packnet" / "seed_0" / "evaluations.csv").is_file()


def command(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sparse_agents.cli", "train_sequence", *AGENT, "--save-freq", "5", "--resume",
         "--log-folder", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def evaluations(folder: Path) -> str:
    (path,) = folder.glob("*/sac-packnet/seed_0/evaluations.csv")
    return path.read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert command(folder).wait() == 0
    return folder


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=["SIGKILL", "SIGINT"]
)
def test_a_run_that_is_killed_goes_on_as_if_nothing_had_happened(
    number: signal.Signals, whole: Path, tmp_path: Path
) -> None:
    process = command(tmp_path)
    while not list(tmp_path.glob("*/*/seed_0/checkpoint.pt")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert evaluations(tmp_path) != evaluations(whole)
    assert command(tmp_path).wait() == 0
    assert evaluations(tmp_path) == evaluations(whole)
