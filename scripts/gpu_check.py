"""Everything that wants a CUDA device, in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from sparse_agents.benchmark import Record
from sparse_agents.benchmark.cuda import Device, cuda_layers
from sparse_agents.benchmark.cuda_agents import cuda_agents
from sparse_agents.benchmark.cuda_scale import cuda_million, cuda_rewiring
from sparse_agents.benchmark.gpu_check import Step, check, keep, parts, records_of, write
from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.ops.cuda import no_kernels, sources
from sparse_agents.runs import output_folder

BENCHMARKS: Mapping[str, Callable[[], Iterator[Record]]] = {
    "layers": cuda_layers,
    "TD3": partial(cuda_agents, "TD3"),
    "SAC": partial(cuda_agents, "SAC"),
    "rewiring": cuda_rewiring,
    "million neurons": cuda_million,
}


@dataclass(frozen=True)
class GpuCheckArguments:
    """Run the tests on a CUDA device, again under compute-sanitizer, and measure. After every step gpu_check.json and
    gpu_check.md say what is known. To be run in a clone of the repository."""

    out: Path = Path("build/gpu")
    """Folder for what is found."""
    part: str | None = None
    """One benchmark alone, whose figures then are in a file of its name."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(GpuCheckArguments, "gpu_check", argv)
    _require_kernels()
    output_folder(arguments.out, "--out")
    if arguments.part is not None:
        if arguments.part not in BENCHMARKS:
            raise unknown("part", arguments.part, BENCHMARKS)
        keep(BENCHMARKS[arguments.part](), records_of(arguments.part, arguments.out))
        return
    device = Device.here().as_dict()
    steps: list[Step] = []
    records: list[Record] = []
    with tqdm(parts(Path(__file__), BENCHMARKS, arguments.out).items(), leave=False, disable=None) as bar:
        for name, part in bar:
            bar.set_description(name)
            step, found = check(name, part)
            steps.append(step)
            records += found
            write(arguments.out, device, steps, records)
    print((arguments.out / "gpu_check.md").read_text())
    failed = [step for step in steps if step.passed is False]
    if failed:
        raise SystemExit("\n".join(f"{step.name} failed:\n{step.said}" for step in failed))


def _require_kernels() -> None:
    """That they run here: otherwise torch would be tested and measured."""
    if not torch.cuda.is_available():
        raise ConfigurationError("There is no CUDA device here, or torch was built without CUDA.")
    reason = no_kernels(torch.device("cuda"))
    if reason is not None:
        raise ConfigurationError(reason)
    try:
        sources.folder()
    except FileNotFoundError as error:
        raise ConfigurationError(f"{error} In a clone it is `pip install -e .` that installs them.") from error


if __name__ == "__main__":
    run_command(main)
