"""``train_sequence``: one method over one sequence of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from sparse_agents.cli.options import parse, set_threads
from sparse_agents.cli.sequence_job import SequenceJob, TrainSequenceArguments, claim
from sparse_agents.continual.capacity import capacity_table, demand_table
from sparse_agents.continual.metrics import METRICS
from sparse_agents.continual.records import read_records, score_matrix
from sparse_agents.continual.runner import SequenceRun


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(TrainSequenceArguments, "train_sequence", argv)
    set_threads(arguments.num_threads)
    job = SequenceJob.of(arguments)
    method = job.method(job.learner(None))  # so that nothing is written where it does not fit
    claim(job.folder, arguments)
    console = Console()
    if method.demands():
        console.print(demand_table(method.demands(), job.tasks))
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"),
        TimeRemainingColumn(), disable=not arguments.progress,
    ) as bar:  # fmt: skip
        shown = bar.add_task(job.title, total=job.tasks * job.steps)
        run = SequenceRun(
            job.folder,
            job.learner,
            job.method,
            eval_every=job.eval_every,
            save_every=job.save_every,
            progress=lambda done: bar.update(shown, completed=done),
            device=job.device,
        )
        run.run()
    console.print(capacity_table(run.method.capacity()))
    console.print(_table(job.folder))
    print(f"run folder {job.folder}\nTensorBoard: tensorboard --logdir {job.folder.parents[2]}")


def _table(folder: Path) -> Table:
    """What came of it."""
    records = read_records(folder / "evaluations.csv")
    table = Table("task identity", *METRICS)
    for identity in records["identity"].unique():
        matrix = score_matrix(records, identity)
        table.add_row(identity, *(f"{metric(matrix):.3f}" for metric in METRICS.values()))
    return table
