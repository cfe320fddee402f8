"""Measure the kernels against dense."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm
from tyro.conf import Positional

from sparse_agents import benchmark
from sparse_agents.cli.options import OptionalPath, parse
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.ops import backend_info
from sparse_agents.runs import RecordFile


@dataclass(frozen=True)
class BenchmarkArguments:
    """Measure side by side in one run. Run it with nothing else on the machine."""

    suite: Positional[str]
    """kernels: speed relative to dense torch; topology: what the rules' updates cost; agents: gradient steps and steps
    of learn(); memory: what agents of any width keep; layers: convolutions and LSTMs; crossover: the density from which
    filled matrices are faster; monitoring: what SparsityCallback takes"""
    json: OptionalPath = None
    """Also write the records to this file."""
    quick: bool = False
    """kernels: the bare 256x256 layer and the small network, without rivals; topology: SET and RigL, small; the others:
    the smallest of theirs."""
    official: OptionalPath = None
    """agents: a checkout of the official DS-TD3 code, to be measured beside ours."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(BenchmarkArguments, "benchmark", argv)
    if arguments.suite not in SUITES:
        raise unknown("benchmark", arguments.suite, SUITES)
    info = backend_info()
    if info.backend != "native":
        raise ConfigurationError(f"There are no kernels to measure: {'; '.join(info.notes)}.")
    _check_official(arguments)
    measure = Measuring(RecordFile(arguments.json))
    before = torch.get_num_threads()
    Console().print(f"{_processor()}, {platform.system()}, torch {torch.__version__}, kernels: {info.isa}\n")
    try:
        SUITES[arguments.suite](arguments, measure)
    finally:
        torch.set_num_threads(before)


def _check_official(arguments: BenchmarkArguments) -> None:
    if arguments.official is None:
        return
    if arguments.suite != "agents" or arguments.quick:
        raise ConfigurationError("--official is for agents, without --quick.")
    if not arguments.official.is_dir():
        raise ConfigurationError(f"--official {arguments.official} is not a folder.")


class Measurement(Protocol):
    """What every suite yields."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""


R = TypeVar("R", bound=Measurement)


class Measuring:
    """Takes measurements one by one, with a progress bar, and writes each as it comes."""

    def __init__(self, file: RecordFile) -> None:
        self._file = file

    def __call__(self, measurements: Iterable[R], describe: Callable[[R], str]) -> list[R]:
        """All of them; ``describe``: the last one, for the bar."""
        found = []
        with tqdm(measurements, unit=" measurements", leave=False, disable=None) as bar:
            for one in bar:
                bar.set_description(describe(one))
                self._file.add(one.as_dict())
                found.append(one)
        return found


def _kernel_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    _print(measure(_quick() if arguments.quick else _kernels(), _case))


def _topology_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    torch.set_num_threads(1)
    rules = ("set", "rigl") if arguments.quick else ()
    console = Console()
    for width in (256,) if arguments.quick else (256, 1024):
        found = measure(benchmark.update_times(width, rules=rules), lambda r: r.rule)
        title = f"TD3 with {width}-{width} hidden units at 90% sparsity, one update of the actor and both critics"
        columns = ("rule", "update", "gradient step", "share at 1 in 100", "without the rule", "")
        table = Table(*columns, title=title, title_justify="left")
        for r in found:
            notes = "on the way from dense" * r.ramps + "works at every step" * r.every_step
            share = f"{r.share:.1%}" if r.share else "at every step" if r.every_step else "once"
            seconds = (r.update_seconds, r.step_seconds, r.static_seconds)
            update, step, without = (f"{one * 1e3:.2f} ms" for one in seconds)
            table.add_row(r.rule, update, step, share, without, notes)
        console.print(table)
    if platform.system() != "Linux":
        console.print("Peak memory is measured on Linux only.")
        return
    width = 1024 if arguments.quick else 16384
    memories = measure(benchmark.update_memory(width, rules=rules), lambda r: r.rule)
    title = f"One layer of {width} by {width} at 99.9% sparsity; its dense weights are {_mib(memories[0].dense)}"
    table = Table("rule", "peak memory", "of it the update", "update", title=title, title_justify="left")
    for m in memories:
        table.add_row(m.rule, _mib(m.peak), _mib(m.update), f"{m.seconds * 1e3:.0f} ms")
    console.print(table)


def _agent_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    torch.set_num_threads(1)
    if not arguments.quick and importlib.util.find_spec("sbx") is None:
        print("Without Stable-Baselines-Jax (pip install sbx-rl), which is not installed.")
    if not arguments.quick and arguments.official is None:
        print("Without the official DS-TD3: give a checkout with --official.")
    _print(measure(benchmark.agents() if arguments.quick else _agents(arguments.official), _case))


def _agents(official: Path | None) -> Iterator[benchmark.Record]:
    for algorithm in ("TD3", "SAC"):
        yield from benchmark.agents(algorithm, rivals=True, official=official)
        yield from benchmark.learning(algorithm, rivals=True)
        yield from benchmark.predictions(algorithm, rivals=True)
    yield from benchmark.agents(batch=100)
    yield from benchmark.agents(env_id="Humanoid-v5", width=1024, sparsities=(0.9, 0.95), masks=False)
    torch.set_num_threads(2)
    yield from benchmark.agents(masks=False)


def _layer_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    torch.set_num_threads(1)
    recurrent = benchmark.lstms(widths=(256,), sparsities=(0.9,)) if arguments.quick else benchmark.lstms()
    _print(measure(chain(benchmark.convolutions(), recurrent), _case))


def _crossover_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    torch.set_num_threads(1)
    entries = benchmark.crossovers(widths=(64, 128), batches=(32,)) if arguments.quick else benchmark.crossovers()
    found = measure(entries, lambda e: f"{e.isa}, batch {e.batch}, width {e.width}")
    widths = sorted({entry.width for entry in found})
    table = Table(
        "width", *map(str, widths), title="Density from which filled matrices are faster", title_justify="left"
    )
    for isa, batch in dict.fromkeys((entry.isa, entry.batch) for entry in found):
        row = {entry.width: entry.density for entry in found if (entry.isa, entry.batch) == (isa, batch)}
        table.add_row(f"{isa}, batch {batch}", *(f"{row[width]:.2f}" for width in widths))
    Console().print(table)


def _memory_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    widths = (256, 1024) if arguments.quick else benchmark.WIDTHS
    found = measure(benchmark.agent_memory(widths), lambda m: f"{m.contender}, {m.width} wide")
    title = f"TD3, two hidden layers, ours at {benchmark.SPARSITY:.1%}: what is kept, and the peak while training"
    columns = ("units", "", "weights", "bytes each", "kept", "peak", "step")
    table = Table(*columns, title=title, title_justify="left")
    for m in found:
        kept = sum(m.parts.values())
        ran = ("", "") if m.peak is None else (_mib(m.peak), f"{(m.step_seconds or 0) * 1e3:.0f} ms")
        weights = f"{m.connections / 1e6:,.3g} M" if m.connections < 1e9 else f"{m.connections / 1e9:,.3g} G"
        table.add_row(str(m.width), m.contender, weights, f"{kept / m.connections:.0f}", _mib(kept), *ran)
    Console().print(table)


def _monitoring_suite(arguments: BenchmarkArguments, measure: Measuring) -> None:
    torch.set_num_threads(1)
    costs = benchmark.monitoring(records=11) if arguments.quick else benchmark.monitoring()
    found = measure(costs, lambda c: c.monitors)
    title = "A record of SparsityCallback, TensorBoard's writing included, while DS-TD3 trains at 90% sparsity"
    table = Table("monitors", "every", "median", "mean", "longest", "of 1000 steps", title=title, title_justify="left")
    for c in found:
        times = (f"{seconds * 1e3:.1f} ms" for seconds in (c.median_seconds, c.mean_seconds, c.longest_seconds))
        table.add_row(c.monitors, str(c.every), *times, f"{c.share:.2%}")
    console = Console()
    console.print(table)
    console.print(f"gradient step: {found[0].step_seconds * 1e3:.3f} ms")


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


SUITES: dict[str, Callable[[BenchmarkArguments, Measuring], None]] = {
    "kernels": _kernel_suite,
    "topology": _topology_suite,
    "agents": _agent_suite,
    "memory": _memory_suite,
    "layers": _layer_suite,
    "crossover": _crossover_suite,
    "monitoring": _monitoring_suite,
}


def _case(record: benchmark.Record) -> str:
    return f"{record.case} at {record.sparsity:.0%}"


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


def _print(records: Sequence[benchmark.Record]) -> None:
    console = Console()
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
