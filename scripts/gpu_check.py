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
from sparse_agents.benchmark.gpu_check import Step, check, commands, measure, write
from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.errors import ConfigurationError
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


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(GpuCheckArguments, "gpu_check", argv)
    if not torch.cuda.is_available():
        raise ConfigurationError("There is no CUDA device here, or torch was built without CUDA.")
    output_folder(arguments.out, "--out")
    device = Device.here().as_dict()
    steps: list[Step] = []
    records: list[Record] = []
    parts: dict[str, Callable[[], tuple[Step, Sequence[Record]]]] = {
        **{name: partial(check, name, command) for name, command in commands().items()},
        **{name: partial(measure, name, benchmark) for name, benchmark in BENCHMARKS.items()},
    }
    with tqdm(parts.items(), leave=False, disable=None) as bar:
        for name, part in bar:
            bar.set_description(name)
            step, found = part()
            steps.append(step)
            records += found
            write(arguments.out, device, steps, records)
    print((arguments.out / "gpu_check.md").read_text())
    failed = [step for step in steps if step.passed is False]
    if failed:
        raise SystemExit("\n".join(f"{step.name} failed:\n{step.said}" for step in failed))


if __name__ == "__main__":
    run_command(main)
