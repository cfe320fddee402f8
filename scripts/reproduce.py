"""Run a paper's comparison again, and put its table beside the published one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.experiments import ds_td3_paper
from sparse_agents.experiments.reproduction import reproduce
from sparse_agents.runs import output_folder

PAPERS = ("ds_td3",)


@dataclass(frozen=True)
class ReproduceArguments:
    """ds_td3: TD3, Static-TD3 and DS-TD3 at the settings of Sokar et al. (2022). Can be stopped at any time; started
    again, it goes on where it was, and with more seeds it adds to what is there. More steps prolong the runs, whose
    topology has rested for the last 5% of their first length then: for a result of its own give --logs a new folder."""

    paper: Positional[str] = "ds_td3"
    """Which paper."""
    env: tuple[str, ...] = ("HalfCheetah-v5",)
    """Environments: HalfCheetah-v5, Hopper-v5, Walker2d-v5, Ant-v5, Humanoid-v5."""
    seeds: int = 5
    """Runs of each agent, from seed 0."""
    steps: int = ds_td3_paper.STEPS
    """Environment steps of each run."""
    workers: int = 1
    """Processes side by side, of one thread each."""
    logs: Path = Path("logs/ds_td3_paper")
    """Where run folders go."""
    out: Path = Path("docs/reproduction")
    """Where tables and figures go."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(ReproduceArguments, "reproduce", argv)
    if arguments.paper not in PAPERS:
        raise unknown("paper", arguments.paper, PAPERS)
    for env in arguments.env:
        if env not in ds_td3_paper.ENVIRONMENTS:
            raise unknown("environment of the paper", env, ds_td3_paper.ENVIRONMENTS)
    least = {"seeds": 1, "workers": 1, "steps": ds_td3_paper.EVALUATION_INTERVAL}
    for name, value in least.items():
        if getattr(arguments, name) < value:
            raise ConfigurationError(f"--{name} {getattr(arguments, name)}: at least {value}.")
    output_folder(arguments.out, "--out")
    output_folder(arguments.logs, "--logs")
    for env in arguments.env:
        seeds = range(arguments.seeds)
        print(reproduce(env, seeds, arguments.steps, arguments.workers, arguments.logs, arguments.out))


if __name__ == "__main__":
    run_command(main)
