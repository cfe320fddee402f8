"""Draw `sparse-agents benchmark kernels --json FILE` as a figure: speed against sparsity."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from sparse_agents.benchmark import Record
from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments.figures import figure_file, pyplot, save


@dataclass(frozen=True)
class PlotArguments:
    """Speed relative to dense torch against sparsity, one line per contender."""

    records: Positional[Path]
    """File written by benchmark --json."""
    out: Path = Path("docs/speed.svg")
    """Figure to write; the ending chooses the format."""
    cases: tuple[str, ...] = ("network 23-256-256-1", "network 365-1024-1024-1")
    """Cases to draw, one panel each."""


def _read(path: Path) -> list[Record]:
    try:
        records = [Record(**record) for record in json.loads(path.read_text())]
    except (OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold the records of `benchmark kernels`: {error}") from error
    return [record for record in records if record.threads == 1 and record.batch == 256]


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(PlotArguments, "plot_benchmark", argv)
    figure_file(arguments.out, "--out")
    plt = pyplot()
    records = _read(arguments.records)
    figure, axes = plt.subplots(
        1, len(arguments.cases), figsize=(5 * len(arguments.cases), 3.6), sharey=True, squeeze=False
    )
    for axis, case in zip(axes[0], arguments.cases, strict=True):
        chosen = [r for r in records if r.case == case]
        if not chosen:
            raise ConfigurationError(f"{arguments.records} holds no case {case!r}.")
        others = iter(("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:gray"))
        for contender in dict.fromkeys(r.contender for r in chosen):
            points = sorted((r.sparsity, r.ratio) for r in chosen if r.contender == contender)
            ours = contender == "sparse_agents"
            axis.plot(
                range(len(points)), [ratio for _, ratio in points], "o-", label=contender,
                linewidth=2.5 if ours else 1.2, color="tab:red" if ours else next(others), zorder=3 if ours else 2,
            )  # fmt: skip
        axis.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axis.set_xticks(range(len(points)), [f"{sparsity:.0%}" for sparsity, _ in points])
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}x")
        axis.set_xlabel("sparsity")
        axis.set_title(case, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("speed relative to dense torch\n(forward + backward)")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    save(figure, arguments.out)
    print(arguments.out)


if __name__ == "__main__":
    run_command(main)
