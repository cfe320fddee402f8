"""Measure what one core can do, and how near sparse networks come to it; write a table and a figure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from sparse_agents.benchmark.roofline import Ceiling, Point, ceilings, points
from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.experiments.figures import figure_file, pyplot, save


@dataclass(frozen=True)
class Arguments:
    """Measure what one core can do, and how near sparse networks come to it. Run it with nothing else on the
    machine."""

    out: Path = Path("docs/roofline.svg")
    """Figure to write; records go beside it, as JSON."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(Arguments, "roofline", argv)
    figure_file(arguments.out, "--out")
    torch.set_num_threads(1)
    limits = list(tqdm(ceilings(), "ceilings", leave=False, disable=None))
    found = list(tqdm(points(), "networks", leave=False, disable=None))
    _print(limits, found)
    _draw(limits, found, arguments.out)
    records = {"ceilings": [one.as_dict() for one in limits], "points": [one.as_dict() for one in found]}
    arguments.out.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")


def _print(limits: Sequence[Ceiling], found: Sequence[Point]) -> None:
    console = Console()
    for one in limits:
        unit = "GFLOP/s" if one.name == "arithmetic" else "GB/s"
        console.print(f"{one.name}: {one.rate / 1e9:.0f} {unit}")
    table = Table("network", "batch", "time", "GFLOP/s", "GB/s", "FLOP per byte")
    for point in found:
        table.add_row(
            point.case,
            str(point.batch),
            f"{point.seconds * 1e3:.3g} ms",
            f"{point.operations / point.seconds / 1e9:.1f}",
            f"{point.loaded / point.seconds / 1e9:.1f}",
            f"{point.operations / point.loaded:.2f}",
        )
    console.print(table)


def _told_apart(limits: Sequence[Ceiling]) -> list[tuple[str, float]]:
    """Names and rates; of those that are nearly as fast as each other one, with the names of all."""
    found: list[tuple[str, float]] = []
    for one in sorted(limits, key=lambda limit: -limit.rate):
        if found and one.rate > 0.8 * found[-1][1]:
            found[-1] = f"{found[-1][0]} and {one.name}", found[-1][1]
        else:
            found.append((one.name, one.rate))
    return found


def _draw(limits: Sequence[Ceiling], found: Sequence[Point], path: Path) -> None:
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    arithmetic = next(one.rate for one in limits if one.name == "arithmetic")
    ends = [0.1, 100.0]
    axis.axhline(arithmetic / 1e9, color="black", linewidth=1)
    axis.text(ends[1] * 0.9, arithmetic / 1e9 * 1.08, "dense products", ha="right", fontsize=8)
    for names, rate in _told_apart([one for one in limits if one.name != "arithmetic"]):
        line = [(x, min(x * rate, arithmetic) / 1e9) for x in (ends[0], arithmetic / rate, ends[1])]
        axis.plot(*zip(*line, strict=True), color="gray", linewidth=1)
        label = f"{names}, {rate / 1e9:.0f} GB/s"
        place = 1.3 * ends[0], 1.45 * ends[0] * rate / 1e9
        axis.text(
            *place,
            label,
            fontsize=8,
            rotation=math.degrees(math.atan(rate / 1e9)),
            rotation_mode="anchor",
            transform_rotates_text=True,
        )
    for point, color in zip(found, ("tab:blue", "tab:orange", "tab:green", "tab:red"), strict=True):
        x, y = point.operations / point.loaded, point.operations / point.seconds / 1e9
        axis.plot(x, y, "o", color=color, label=f"{point.case}, batch {point.batch}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(*ends)
    axis.set_xlabel("floating-point operations per byte loaded")
    axis.set_ylabel("GFLOP/s")
    axis.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    save(figure, path)


if __name__ == "__main__":
    run_command(main)
