"""Run a study from its file, and draw its tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.errors import CheckpointError, ConfigurationError, unknown
from sparse_agents.experiments.commands import run_commands
from sparse_agents.experiments.documents import between_marks
from sparse_agents.experiments.study import Comparison, Study
from sparse_agents.experiments.study_file import read_study
from sparse_agents.experiments.study_report import place_of, report
from sparse_agents.runs import check_environment


@dataclass(frozen=True)
class StudyArguments:
    """Train what a study compares and is not trained yet; put tables into its document and figures beside it. Can be
    stopped at any time; started again, it goes on where it was."""

    study: Positional[Path] = Path("scripts/studies/learning.yml")
    """The study's file."""
    comparisons: Positional[tuple[str, ...]] = ()
    """Some of them, by name; all of them by default."""
    redraw: bool = False
    """Train nothing: tables and figures from what is done."""
    workers: int = 2
    """Processes side by side, of one thread each."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(StudyArguments, "study", argv)
    if arguments.workers < 1:
        raise ConfigurationError(f"--workers {arguments.workers}: at least 1.")
    study = read_study(arguments.study)
    for name in arguments.comparisons:
        if name not in study.comparisons:
            raise unknown("comparison", name, study.comparisons)
    comparisons = [study.comparisons[name] for name in arguments.comparisons or study.comparisons]
    for comparison in comparisons:  # before anything is trained
        between_marks(study.document, place_of(comparison))
        for env in comparison.envs:
            check_environment(env)
    failures: list[str] = []
    for comparison in comparisons:
        if not arguments.redraw:
            failures += _run(study, comparison, arguments.workers)
        print(f"{comparison.name}\n\n{report(study, comparison)}\n")
    if failures:
        raise CheckpointError("\n".join(failures))


def _run(study: Study, comparison: Comparison, workers: int) -> list[str]:
    """Train what is missing, and say what failed: what did not is to be drawn."""
    try:
        run_commands(list(study.commands(comparison)), workers)
    except CheckpointError as error:
        return [str(error)]
    return []


if __name__ == "__main__":
    run_command(main)
