"""One page about some runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm
from tyro.conf import Positional

from sparse_agents.cli.options import algorithm, import_packages, parse
from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.collection import by_label, collect, of_length
from sparse_agents.experiments.run_report import Trained, write_report
from sparse_agents.runs import checkpoint, output_file


@dataclass(frozen=True)
class ReportArguments:
    """Write one HTML page about runs: returns, learning curves, cost, settings, and pictures of their topologies. The
    page needs no other file."""

    runs: Positional[tuple[Path, ...]]
    """Run folders, or folders that have some below them."""
    out: Path = Path("report.html")
    """The page."""
    title: str = "Sparse agents"
    """Of the page."""
    by: tuple[str, ...] = ()
    """Settings to tell runs apart by, such as sparsity topology; all in which they differ by default."""
    last: int = 5
    """Evaluations at the end of a run that its return is the mean of."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(ReportArguments, "report", argv)
    if arguments.last < 1:
        raise ConfigurationError(f"--last {arguments.last}: at least 1 evaluation.")
    output_file(arguments.out, "--out")
    runs, short = of_length(collect(arguments.runs), None)
    for run in short:
        print(f"left out: {run.extent}", file=sys.stderr)
    labels = by_label(runs, arguments.by)
    agents = {}
    for label, of_label in tqdm(labels.items(), "reading agents", leave=False, disable=None):
        for run in [one for one in of_label if one.finished][:1]:
            settings = run.folder.read_settings()
            import_packages(settings.get("gym_packages") or ())
            model = checkpoint.load_model(run.folder.final_model, algorithm(settings["algo"]), None)
            agents[label] = Trained(run, model.policy)
    write_report(labels, short, agents, arguments.last, arguments.title, arguments.out)
    print(arguments.out)
