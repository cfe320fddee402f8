"""Tables and figures of runs over one sequence of tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from sparse_agents.cli import run_command
from sparse_agents.cli.options import OptionalPath, parse
from sparse_agents.experiments.documents import put_between_marks
from sparse_agents.experiments.sequence_report import draw_capacity, draw_curves, draw_matrices, markdown
from sparse_agents.experiments.sequences import beside, metrics_of, read_sequence
from sparse_agents.runs import output_folder


@dataclass(frozen=True)
class ReportArguments:
    """Put the runs of a sequence of tasks into a table and figures, each method's over its seeds. With runs of method
    joint there is intransigence, with those of single what Continual World measures."""

    folder: Positional[Path]
    """Of the sequence's runs, METHOD/seed_SEED in it, such as logs/sequences/split-digits."""
    out: OptionalPath = None
    """Where figures and figures' numbers go; by default the folder itself."""
    document: OptionalPath = None
    """Put the table between its marks `sequence: NAME` and `end`, NAME being that of the folder."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(ReportArguments, "report_sequence", argv)
    out = output_folder(arguments.out or arguments.folder, "--out")
    runs, unfinished = read_sequence(arguments.folder)
    for path in unfinished:
        print(f"{path} is not done, and left out.")
    table = markdown(runs)
    for name, draw in (("matrices", draw_matrices), ("curves", draw_curves), ("capacity", draw_capacity)):
        draw(runs, out / f"{name}.svg")
    records = [
        {"method": method, "seed": seed, "identity": identity, **metrics_of(run, identity, beside(runs, method, seed))}
        for method, by_seed in runs.items()
        for seed, run in by_seed.items()
        for identity in run.identities
    ]
    (out / "metrics.json").write_text(json.dumps(records, indent=1) + "\n")
    print(f"{table}\n\nfigures and records: {out}")
    if arguments.document is not None:
        put_between_marks(arguments.document, f"sequence: {arguments.folder.name}", table)


if __name__ == "__main__":
    run_command(main)
