"""Train every combination of settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tqdm import tqdm
from tyro.conf import Positional

from sparse_agents.cli.options import OptionalInt, OptionalStr, parse
from sparse_agents.cli.train import check
from sparse_agents.cli.train_arguments import TrainArguments
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.experiments.commands import Engine, TrainCommand, run_commands
from sparse_agents.experiments.ray_engine import ray_engine
from sparse_agents.experiments.sweep import Sweep, claim

ENGINES = ("local", "ray")
NOT_FOR_SWEEPS = ("log_folder", "progress", "resume", "quick_start")
QUIET = ("--verbose", "0")


@dataclass(frozen=True)
class SweepArguments:
    """Train every combination of settings that a file names, several at a time. Can be stopped at any time; started
    again, it goes on where it was. A run that fails leaves the others alone."""

    sweep: Positional[Path]
    """YAML file: logs, a folder; base, flags of the train command; grid, lists of values for some of them, such as
    env, seed, topology, sparsity or hyperparams.learning_rate."""
    workers: OptionalInt = None
    """Runs at a time; 2 by default, with ray as many as the cluster has CPUs."""
    engine: str = "local"
    """local: processes on this machine. ray: tasks on a cluster whose machines see the same files."""
    ray_address: OptionalStr = None
    """Of the cluster, such as auto; by default one is started on this machine."""
    dry_run: bool = False
    """Train nothing: build the agent of every combination, for mistakes to show; list the runs, and which are done."""
    json: bool = False
    """Print one JSON object at the end."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(SweepArguments, "sweep", argv)
    if arguments.engine not in ENGINES:
        raise unknown("engine", arguments.engine, ENGINES)
    if arguments.workers is not None and arguments.workers < 1:
        raise ConfigurationError(f"--workers {arguments.workers}: at least 1.")
    flags = [field.name for field in fields(TrainArguments) if field.name not in NOT_FOR_SWEEPS]
    sweep = Sweep.read(arguments.sweep, flags)
    commands = [_complete(command) for command in sweep.commands(TrainArguments.n_timesteps)]
    mistakes: dict[Path, str] = {}
    if arguments.dry_run:
        mistakes = _mistakes(commands)
    else:
        claim(commands)
        engine, workers = _engine(arguments)
        run_commands(commands, workers, engine)
    done = [command.done() for command in commands]
    if arguments.json:
        runs = [
            {"run": c.title, "folder": str(c.folder), "done": d, "mistake": mistakes.get(c.folder.parent)}
            for c, d in zip(commands, done, strict=True)
        ]
        print(json.dumps({"runs": runs}))
    else:
        for command, finished in zip(commands, done, strict=True):
            print(f"{'done' if finished else 'left'}  {command.title}  {command.folder}")
        print(f"{sum(done)} of {len(done)} runs done; sparse-agents plot {sweep.logs} draws them")
    if mistakes:
        raise ConfigurationError("Some runs would fail.\n" + "\n".join(mistakes.values()))


def _complete(command: TrainCommand) -> TrainCommand:
    """With what a run beside others is to have where the file does not say."""
    given = command.arguments
    extra = [
        *((*QUIET,) if "--verbose" not in given else ()),
        *(("--num-threads", "1") if "--num-threads" not in given else ()),
    ]
    return TrainCommand(command.title, (*given, *extra), command.folder, command.steps)


def _mistakes(commands: Sequence[TrainCommand]) -> dict[Path, str]:
    """By the folder of runs that differ in their seed alone: why their agents cannot be built."""
    first = {command.folder.parent: command for command in reversed(commands)}
    found = {}
    for folder, command in tqdm(reversed(first.items()), "building agents", len(first), leave=False, disable=None):
        try:
            check(parse(TrainArguments, "train", command.arguments))
        except ConfigurationError as error:
            found[folder] = f"{command.title}: {error}"
    return found


def _engine(arguments: SweepArguments) -> tuple[Engine, int]:
    if arguments.engine == "local":
        return TrainCommand.start, arguments.workers or 2
    engine, cpus = ray_engine(arguments.ray_address)
    return engine, arguments.workers or cpus
