"""Train networks of a thousand and of a million hidden neurons on one thread, without a dense matrix anywhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from sparse_agents.benchmark.peak import peak, settled
from sparse_agents.cli import run_command
from sparse_agents.cli.options import OptionalInt, OptionalPath, parse, set_threads
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.experiments.gene_expression import GeneExpression, planted, read_csv
from sparse_agents.experiments.scipy_mlp import ScipyMLP
from sparse_agents.experiments.set_mlp import DROP_FRACTION, SIZES, Epoch, SetMLP, Size
from sparse_agents.runs import RecordFile


@dataclass(frozen=True)
class Arguments:
    """SET on data of the shape of the Leukemia microarrays (54,675 genes, 18 classes, 2096 samples), after Liu et al.,
    "Sparse evolutionary deep learning with over one million artificial neurons on commodity hardware", 2021."""

    sizes: tuple[str, ...] = ("small", "million")
    """small: two hidden layers of 1000 units at 1% density; million: of 500,000 units at 0.007%."""
    csv: OptionalPath = None
    """The real data: a row per sample with a header, the class in the last column. By default, planted classes."""
    epochs: OptionalInt = None
    """By default 100 and 10."""
    batch: OptionalInt = None
    """Samples in a minibatch; by default 32."""
    seed: int = 0
    """Of everything random."""
    num_threads: int = 1
    """Threads for torch and the kernels."""
    scipy_batches: int = 3
    """Minibatches that SciPy's matrices are timed for, and a topology update; 0 for none."""
    json: OptionalPath = None
    """Also write what was measured to this file."""


@dataclass(frozen=True)
class Measured:
    """One network.

    Attributes:
        units: neurons, inputs and outputs included.
        connections: of them.
        density: of the network.
        batches: minibatches in an epoch.
        seconds: of training, topology updates included.
        scipy_step: seconds of a minibatch on SciPy's matrices, the median; None where it was not measured.
        scipy_update: seconds of a topology update there.
        peak: bytes of resident memory over the data's.
        epochs: what was reached after each.
    """

    size: str
    units: int
    connections: int
    density: float
    batches: int
    seconds: float
    scipy_step: float | None
    scipy_update: float | None
    peak: int
    epochs: Sequence[Epoch]


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(Arguments, "million_neurons", argv)
    for name in arguments.sizes:
        if name not in SIZES:
            raise unknown("size", name, SIZES)
    for flag, least in (("epochs", 1), ("batch", 1), ("scipy_batches", 0)):
        value = getattr(arguments, flag)
        if value is not None and value < least:
            raise ConfigurationError(f"--{flag.replace('_', '-')} {value}: at least {least}.")
    file = RecordFile(arguments.json)
    set_threads(arguments.num_threads)
    data = planted(seed=arguments.seed) if arguments.csv is None else read_csv(arguments.csv, arguments.seed)
    for name in arguments.sizes:
        given = {key: getattr(arguments, key) for key in ("epochs", "batch") if getattr(arguments, key) is not None}
        found = _measure(name, replace(SIZES[name], **given), data, arguments)
        file.add(asdict(found))
        _print(found)


def _measure(name: str, size: Size, data: GeneExpression, arguments: Arguments) -> Measured:
    before = settled()
    model = SetMLP(size, data, arguments.seed)
    connections = model.controller.connections
    epochs = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"{name}: {connections:,} connections", total=model.batches * size.epochs)
        for epoch in model.train(lambda: progress.advance(task)):
            epochs.append(epoch)
            progress.update(task, description=f"{name}: epoch {epoch.epoch}, accuracy {epoch.accuracy:.1f}%")
    highest = peak() - before
    step, update = _on_scipy(model, arguments.scipy_batches) if arguments.scipy_batches else (None, None)
    total = sum(rows * cols for rows, cols in size.shapes(data.x.shape[1], data.classes))
    return Measured(
        name,
        model.units,
        connections,
        connections / total,
        model.batches,
        epochs[-1].seconds,
        step,
        update,
        highest,
        epochs,
    )


def _on_scipy(model: SetMLP, batches: int) -> tuple[float, float]:
    """Seconds per minibatch, and of a topology update."""
    rival = ScipyMLP(model.network, model.size.learning_rate)
    x, y = (part[: model.size.batch].numpy() for part in (model.data.x, model.data.y))
    steps = []
    for _ in range(batches):
        begin = time.perf_counter()
        rival.step(x, y)
        steps.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    rival.evolve(DROP_FRACTION, np.random.default_rng(0))
    return statistics.median(steps), time.perf_counter() - begin


def _print(found: Measured) -> None:
    table = Table(show_header=False, title=found.size, title_justify="left")
    last = found.epochs[-1]
    table.add_row("neurons", f"{found.units:,}")
    table.add_row("connections", f"{found.connections:,} of a dense network's ({found.density:.4%})")
    table.add_row("training", f"{found.seconds:.1f} s, {last.epoch} epochs, {torch.get_num_threads()} thread(s)")
    table.add_row("memory", f"{found.peak / 2**20:.0f} MiB at the peak, data not counted")
    best = max(epoch.accuracy for epoch in found.epochs)
    table.add_row("accuracy", f"{last.accuracy:.1f}% of the test samples, {best:.1f}% at best")
    epoch = found.seconds / last.epoch
    table.add_row("an epoch", f"{epoch:.3g} s: {found.batches} minibatches and a topology update")
    if found.scipy_step is not None and found.scipy_update is not None:
        theirs = found.batches * found.scipy_step + found.scipy_update
        parts = f"{found.batches} x {found.scipy_step:.3g} s and {found.scipy_update:.3g} s"
        table.add_row("SciPy's matrices", f"{theirs:.3g} s ({parts}): {theirs / epoch:.1f}x slower")
    Console().print(table)


if __name__ == "__main__":
    run_command(main)
