"""Measure the kernels against dense."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm
from tyro.conf import Positional

from sparse_agents import benchmark
from sparse_agents.cli.options import parse
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.ops import backend_info

SUITES = ("kernels",)


@dataclass(frozen=True)
class BenchmarkArguments:
    """Measure against dense torch, side by side in one run. Run it with nothing else on the machine."""

    suite: Positional[str]
    """kernels"""
    json: Path | None = None
    """Also write the records to this file."""
    quick: bool = False
    """Only the bare 256x256 layer and the small network, without rivals."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(BenchmarkArguments, "benchmark", argv)
    if arguments.suite not in SUITES:
        raise unknown("benchmark", arguments.suite, SUITES)
    info = backend_info()
    if info.backend != "native":
        raise ConfigurationError(f"There are no kernels to measure: {'; '.join(info.notes)}.")
    if arguments.json is not None and not arguments.json.resolve().parent.is_dir():
        raise ConfigurationError(f"--json {arguments.json}: there is no such folder.")
    before = torch.get_num_threads()
    try:
        records = list(_with_progress(_quick() if arguments.quick else _kernels()))
    finally:
        torch.set_num_threads(before)
    _print(records)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([r.as_dict() for r in records], indent=1) + "\n")


def _quick() -> Iterator[benchmark.Record]:
    torch.set_num_threads(1)
    yield from benchmark.bare_layers(sizes=(256,))
    yield from benchmark.networks(shapes=((23, 256, 256, 1),), with_rivals=False)


def _kernels() -> Iterator[benchmark.Record]:
    torch.set_num_threads(1)
    yield from benchmark.bare_layers()
    yield from benchmark.networks()
    yield from benchmark.single_layers()
    yield from benchmark.acting()
    for batch in (32, 100):
        yield from benchmark.networks(batch=batch, shapes=((23, 256, 256, 1),), with_rivals=False)
    yield from benchmark.gradient_steps()
    torch.set_num_threads(2)
    yield from benchmark.networks(with_rivals=False)


def _with_progress(records: Iterable[benchmark.Record]) -> Iterator[benchmark.Record]:
    with tqdm(records, unit=" measurements", leave=False) as bar:
        for record in bar:
            bar.set_description(f"{record.case} at {record.sparsity:.0%}")
            yield record


def _print(records: Sequence[benchmark.Record]) -> None:
    console = Console()
    console.print(f"{_processor()}, {platform.system()}, torch {torch.__version__}, kernels: {backend_info().isa}\n")
    groups: dict[tuple[str, int, int], list[benchmark.Record]] = {}
    for record in records:
        groups.setdefault((record.case, record.batch, record.threads), []).append(record)
    for (case, batch, threads), group in groups.items():
        sparsities = sorted({r.sparsity for r in group})
        title = f"{case}, batch {batch}, {threads} thread{'s' * (threads > 1)}: speed relative to {group[0].baseline}"
        table = Table("", *(f"{s:.0%}" for s in sparsities), title=title, title_justify="left")
        for contender in dict.fromkeys(r.contender for r in group):
            ratios = {r.sparsity: r.ratio for r in group if r.contender == contender}
            table.add_row(contender, *(f"{ratios[s]:.2f}x" for s in sparsities))
        console.print(table)
        times = {r.sparsity: f"{r.baseline_seconds * 1e6:.0f}" for r in group}
        console.print(f"{group[0].baseline}: {', '.join(times[s] for s in sparsities)} µs\n")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
