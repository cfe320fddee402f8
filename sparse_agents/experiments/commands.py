"""Many runs of the train command side by side, that can be stopped at any time and taken up again."""

from __future__ import annotations

import ctypes
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import RunFolder

POLL_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
"""Of <sys/prctl.h>."""


@dataclass(frozen=True)
class TrainCommand:
    """One run, alone in its folder.

    Attributes:
        title: for people.
        arguments: of the train command, but for where it writes.
        folder: of its logs.
        steps: environment steps of the whole run.
    """

    title: str
    arguments: tuple[str, ...]
    folder: Path
    steps: int

    def run_folder(self) -> RunFolder | None:
        """None before it has begun."""
        return RunFolder.latest(self.folder)

    def finished_run(self) -> RunFolder | None:
        """The run, once it has so many steps behind it; a finished run may be prolonged."""
        run = self.run_folder()
        return run if run is not None and run.final_steps() >= self.steps else None

    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.finished_run() is not None

    def steps_done(self, run: RunFolder) -> int:
        """So far, as its complete episodes and its last checkpoint have it."""
        lines = [line for file in run.path.glob("*.monitor.csv") for line in file.read_text().splitlines()[2:]]
        episodes = sum(int(line.split(",")[1]) for line in lines if line.count(",") >= 2)
        saved = [int(p.name.removeprefix("step_")) for p in run.checkpoints.glob("step_*") if not p.suffix]
        return max([episodes, *saved])

    def said_last(self) -> str:
        """The last line of its output, and where the rest is."""
        output = self.folder / "output.txt"
        lines = output.read_text(errors="replace").strip().splitlines() if output.is_file() else []
        return f"{lines[-1].strip() if lines else 'nothing was said'} ({output})"

    def start(self) -> subprocess.Popen[str]:
        """Begin, or go on from the last checkpoint."""
        run = self.run_folder()
        if run is not None and any(run.checkpoints.glob("step_*[0-9]")):
            arguments = ["--resume", str(run.path), "-n", str(self.steps)]
        else:
            arguments = [*self.arguments, "--log-folder", str(self.folder)]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "sparse_agents.cli", "train", *arguments],
                stdout=output, stderr=subprocess.STDOUT, text=True,
                start_new_session=True, preexec_fn=_end_with_parent,  # Ctrl-C is passed on once, by us
            )  # fmt: skip


def _end_with_parent() -> None:
    """Where Linux can, so that a run that is taken up again is not still being written."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Running(Protocol):
    """A command that has been started: what is asked of ``subprocess.Popen``, by whatever runs it."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def send_signal(self, sig: int) -> None:
        """SIGINT, to have it save and stop."""

    def wait(self) -> int:
        """Until it is over."""


Engine = Callable[[TrainCommand], Running]
"""Starts a command somewhere."""


def run_commands(commands: Sequence[TrainCommand], workers: int, engine: Engine = TrainCommand.start) -> None:
    """Run those that are not done, ``workers`` at a time; where one fails, the others go on.

    Ctrl-C lets each save a checkpoint; a process that is killed leaves its last one.

    Raises:
        CheckpointError: in the end, for runs that failed, saying where their output is.
        ConfigurationError: where another process has these runs in hand.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    running: dict[TrainCommand, tuple[Running, TaskID]] = {}
    failed: list[TrainCommand] = []
    with Progress(*columns, console=Console(stderr=True)) as progress, _alone(commands), _stopping(running):
        waiting = [command for command in commands if not command.done()]
        runs = progress.add_task("runs", total=len(commands), completed=len(commands) - len(waiting))
        while waiting or running:
            while waiting and len(running) < workers:
                command = waiting.pop(0)
                task = progress.add_task(command.title, total=command.steps)
                running[command] = engine(command), task
            time.sleep(POLL_SECONDS)
            for command, (process, task) in list(running.items()):
                run = command.run_folder()
                if run is not None:
                    progress.update(task, completed=command.steps_done(run))
                code = process.poll()
                if code is None:
                    continue
                del running[command]
                progress.update(task, visible=code != 0)
                progress.advance(runs)
                if code:
                    failed.append(command)
    if failed:
        told = "\n".join(f"{command.title} failed: {command.said_last()}" for command in failed)
        raise CheckpointError(f"{told}\nStart again for what is left.")


@contextmanager
def _alone(commands: Sequence[TrainCommand]) -> Iterator[None]:
    """Two that write the same run would spoil it. The locks go with the process, however it ends."""
    with ExitStack() as files:
        for command in commands:
            command.folder.mkdir(parents=True, exist_ok=True)
            file = files.enter_context((command.folder / "lock").open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(f"{command.folder} is being written by another process.") from None
        yield


@contextmanager
def _stopping(running: dict[TrainCommand, tuple[Running, TaskID]]) -> Iterator[None]:
    """Leaves no process behind: each is asked to save, and waited for."""
    try:
        yield
    finally:
        processes = [process for process, _ in running.values()]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()
