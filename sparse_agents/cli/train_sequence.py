"""``train_sequence``: one method over one sequence of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from tyro.conf import arg

from sparse_agents.cli.options import Literal, parse, set_threads
from sparse_agents.continual.capacity import capacity_table
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods import make_method
from sparse_agents.continual.metrics import METRICS
from sparse_agents.continual.records import read_records, score_matrix
from sparse_agents.continual.runner import SequenceRun
from sparse_agents.continual.supervised.learner import Classifier, Training
from sparse_agents.continual.supervised.sequences import classification_sequence
from sparse_agents.errors import CheckpointError, ConfigurationError


@dataclass(frozen=True)
class TrainSequenceArguments:
    """Train one task after the other, and see what becomes of those before. A run is the folder
    LOG_FOLDER/SEQUENCE/METHOD/seed_SEED; it can be stopped at any time, and goes on with --resume."""

    sequence: str = "split-digits"
    """Tasks: split-digits, permuted-digits, rotated-digits."""
    method: str = "spacenet"
    """How they are learned: er, ewc, finetune, joint, packnet, si, single, spacenet, static."""
    seed: int = 0
    """Of weights, minibatches and whatever the method draws."""
    options: tuple[str, ...] = ()
    """The method's own, as name:value."""
    steps_per_task: int = 376
    """Gradient steps on each task."""
    hidden: tuple[int, ...] = (400, 400)
    """Units of the hidden layers."""
    sparsity: float = 0.0
    """Of the network; SpaceNet and its static form begin empty and have densities of their own."""
    learning_rate: float = 0.01
    """Of stochastic gradient descent."""
    batch_size: int = 128
    """Samples of a gradient step."""
    eval_freq: int = 94
    """Evaluate all tasks every so many steps."""
    save_freq: int = 376
    """Write a checkpoint every so many steps."""
    data_dir: Path | None = None
    """Where data sets are that come with no package."""
    log_folder: Path = Path("logs/sequences")
    """Where run folders go."""
    num_threads: int = -1
    """Of torch; -1: its default."""
    progress: Annotated[bool, arg(aliases=["-P"])] = field(default=True)
    """Show a progress bar."""
    resume: bool = False
    """Go on with the run of these settings."""


_MAY_CHANGE = ("resume", "progress", "num_threads", "data_dir", "log_folder")


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(TrainSequenceArguments, "train_sequence", argv)
    for name in ("steps_per_task", "batch_size", "eval_freq", "save_freq"):
        if getattr(arguments, name) < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give at least 1.")
    set_threads(arguments.num_threads)
    folder = arguments.log_folder / arguments.sequence / arguments.method / f"seed_{arguments.seed}"
    training = Training(
        hidden=arguments.hidden,
        sparsity=arguments.sparsity,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        steps=arguments.steps_per_task,
    )
    sequence = classification_sequence(arguments.sequence, arguments.data_dir)
    options = Literal.parse_all(arguments.options, "--options")

    def method_of(learner: Learner) -> ContinualMethod:
        return make_method(arguments.method, learner, len(sequence.tasks), arguments.seed, **options)

    method_of(Classifier(sequence, training, arguments.seed))  # so that nothing is written where it does not fit
    _claim(folder, arguments)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"),
        TimeRemainingColumn(), disable=not arguments.progress,
    ) as bar:  # fmt: skip
        shown = bar.add_task(f"{arguments.method}, {arguments.sequence}", total=len(sequence.tasks) * training.steps)
        run = SequenceRun(
            folder,
            lambda saved: Classifier(sequence, training, arguments.seed, saved),
            method_of,
            eval_every=arguments.eval_freq,
            save_every=arguments.save_freq,
            progress=lambda steps: bar.update(shown, completed=steps),
        )
        run.run()
    console = Console()
    console.print(capacity_table(run.method.capacity()))
    console.print(_table(folder))
    print(f"run folder {folder}\nTensorBoard: tensorboard --logdir {arguments.log_folder}")


def _claim(folder: Path, arguments: TrainSequenceArguments) -> None:
    """Raises ConfigurationError where the folder has another run, or one that is not to be gone on with."""
    settings: dict[str, Any] = {k: v for k, v in asdict(arguments).items() if k not in _MAY_CHANGE}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    path = folder / "settings.yml"
    if path.is_file():
        before = yaml.safe_load(path.read_text())
        if not isinstance(before, dict):
            raise CheckpointError(f"{path} does not hold settings: it is damaged.")
        if not arguments.resume:
            raise ConfigurationError(f"{folder} has a run already: go on with --resume, or remove it.")
        for name, value in settings.items():
            if before.get(name) != value:
                raise ConfigurationError(
                    f"--{name.replace('_', '-')} {value}: the run in {folder} has {before.get(name)}, and keeps it."
                )
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(settings, sort_keys=False))
    draft.replace(path)


def _table(folder: Path) -> Table:
    """What came of it."""
    records = read_records(folder / "evaluations.csv")
    table = Table("task identity", *METRICS)
    for identity in records["identity"].unique():
        matrix = score_matrix(records, identity)
        table.add_row(identity, *(f"{metric(matrix):.3f}" for metric in METRICS.values()))
    return table
