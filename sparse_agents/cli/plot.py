"""Draw runs beside each other."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm
from tyro.conf import Positional, arg

from sparse_agents.cli.options import OptionalInt, OptionalStr, parse
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.experiments.aggregates import Scores, aggregate, final_returns, scale_by, scores_of
from sparse_agents.experiments.collection import along_sparsity, by_label, collect, of_length
from sparse_agents.experiments.comparison_figures import (
    draw_aggregates,
    draw_improvement,
    draw_learning_curves,
    draw_profiles,
    draw_sparsity,
)
from sparse_agents.experiments.documents import counted
from sparse_agents.experiments.intervals import Interval
from sparse_agents.runs import output_folder


@dataclass(frozen=True)
class PlotArguments:
    """Draw runs beside each other: learning curves, aggregates over environments and seeds, performance profiles, how
    likely one is better than another, returns over sparsities. Runs that differ in nothing but environment and seed
    belong together."""

    runs: Positional[tuple[Path, ...]]
    """Run folders, or folders that have some below them."""
    out: Path = Path("plots")
    """Folder for the figures, each as PNG and SVG."""
    by: tuple[str, ...] = ()
    """Settings to tell runs apart by, such as sparsity topology; all in which they differ by default."""
    baseline: OptionalStr = None
    """Whose mean return is a score of 1, by its name in the figures; by default that of the best."""
    steps: OptionalInt = None
    """Look at the first so many environment steps; by default at whole runs, those being left out that are shorter
    than others on their environment."""
    last: int = 5
    """Evaluations at the end of a run that its return is the mean of."""
    json: Annotated[bool, arg()] = False
    """Print one JSON object instead of tables."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(PlotArguments, "plot", argv)
    if arguments.last < 1:
        raise ConfigurationError(f"--last {arguments.last}: at least 1 evaluation.")
    if arguments.steps is not None and arguments.steps < 1:
        raise ConfigurationError(f"--steps {arguments.steps}: at least 1.")
    output_folder(arguments.out, "--out")
    runs, short = of_length(collect(arguments.runs), arguments.steps)
    for run in short:
        print(f"left out: {run.extent}", file=sys.stderr)
    if not runs:
        raise ConfigurationError(f"--steps {arguments.steps}: no run is as long.")
    if not all(len(run.history.timesteps) for run in runs):
        raise ConfigurationError(f"--steps {arguments.steps}: some runs were not evaluated before.")
    few = sum(len(run.history.timesteps) < arguments.last for run in runs)
    if few:
        print(
            f"--last {arguments.last}: {few} of {len(runs)} runs have fewer evaluations, and their mean",
            file=sys.stderr,
        )
    labels = by_label(runs, arguments.by)
    if arguments.baseline is not None and arguments.baseline not in labels:
        raise unknown("baseline", arguments.baseline, labels)
    returns = final_returns(labels, arguments.last)
    scores = scores_of(returns, scale_by(returns, arguments.baseline)) if len(labels) > 1 else {}
    found = aggregate(scores) if len(scores) > 1 else {}
    figures: dict[str, Callable[[Path], None]] = {"curves": partial(draw_learning_curves, labels)}
    if found:
        figures |= _comparisons(scores, found, arguments.baseline)
    if len({run.sparsity for run in runs} - {None}) > 1:
        figures["sparsity"] = partial(draw_sparsity, along_sparsity(runs, arguments.by), arguments.last)
    with tqdm(figures.items(), unit=" figures", leave=False, disable=None) as bar:
        for name, draw in bar:
            draw(arguments.out / name)
    files = [str(arguments.out / f"{name}{suffix}") for name in figures for suffix in (".png", ".svg")]
    if arguments.json:
        print(json.dumps({"returns": returns, "aggregates": _plain(found), "figures": files}))
        return
    console = Console()
    console.print(_returns_table(returns, arguments.last))
    if found:
        console.print(_aggregate_table(found))
    print("\n".join(files))


def _comparisons(
    scores: Scores, found: Mapping[str, Mapping[str, Interval]], baseline: str | None
) -> dict[str, Callable[[Path], None]]:
    """Figures by name, of the agents that were run on all environments."""
    whose = baseline or "the best agent on each environment"
    title = f"score 1: the mean of {whose}\n0: a return of 0, or the worst run where there are negative ones"
    figures: dict[str, Callable[[Path], None]] = {
        "aggregates": partial(draw_aggregates, found, title),
        "profiles": partial(draw_profiles, scores, title),
    }
    if any(len(one) > 1 for one in scores.values()):  # of single runs there is no telling
        best = max(scores, key=lambda label: float(scores[label].mean()))
        other = baseline if baseline is not None and baseline in scores else best
        figures["improvement"] = partial(draw_improvement, scores, other)
    return figures


def _plain(found: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    """Intervals as JSON can say them."""
    return {
        label: {kind: [v if math.isfinite(v) else None for v in interval] for kind, interval in kinds.items()}
        for label, kinds in found.items()
    }


def _returns_table(returns: Mapping[str, Mapping[str, Mapping[int, float]]], last: int) -> Table:
    envs = sorted({env for found in returns.values() for env in found})
    table = Table("", *envs, title=f"mean of the last {last} evaluations, over seeds")
    for label, found in returns.items():
        cells = [list(found[env].values()) if env in found else [] for env in envs]
        texts = [f"{sum(one) / len(one):.1f} ({counted(len(one), 'seed')})" if one else "–" for one in cells]
        table.add_row(label, *texts)
    return table


def _aggregate_table(found: Mapping[str, Mapping[str, Interval]]) -> Table:
    kinds = list(next(iter(found.values())))
    sure = any(math.isfinite(interval.low) for kinds in found.values() for interval in kinds.values())
    how = (
        "over environments and seeds, 95% bootstrap intervals" if sure else "over environments; of 1 seed, no intervals"
    )
    table = Table("score", *kinds, title=how)
    for label, of_label in found.items():
        table.add_row(label, *(_said(of_label[kind]) for kind in kinds))
    return table


def _said(interval: Interval) -> str:
    text = f"{interval.mean:.2f}"
    return text if math.isinf(interval.low) else f"{text} [{interval.low:.2f}, {interval.high:.2f}]"
