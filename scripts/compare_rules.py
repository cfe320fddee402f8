"""Train every topology rule on the same small problems and write a CSV, a Markdown table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_agents.cli import run_command
from sparse_agents.cli.options import parse
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.experiments import CONTENDERS
from sparse_agents.experiments.rule_comparison import PROBLEMS, markdown, plot, run_problem
from sparse_agents.runs import output_folder


@dataclass(frozen=True)
class CompareArguments:
    """Train every topology rule, and a dense network, on small problems, several seeds each, and write tables and a
    figure. Can be stopped at any time; started again, it goes on where it was."""

    problems: tuple[str, ...] = ("digits", "pendulum")
    """digits: a 64-256-256-10 network at 90, 95 and 98% sparsity; pendulum: SAC at 90%; ppo, dqn: CartPole at 80%;
    sac, tqc: Pendulum at 80%."""
    rules: tuple[str, ...] = tuple(CONTENDERS)
    """Which contenders."""
    seeds: int = 5
    """Runs of each."""
    workers: int = 1
    """Processes side by side, of one thread each."""
    out: Path = Path("docs/rules")
    """Folder of the tables and the figure."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(CompareArguments, "compare_rules", argv)
    for name in arguments.problems:
        if name not in PROBLEMS:
            raise unknown("problem", name, PROBLEMS)
    for rule in arguments.rules:
        if rule not in CONTENDERS:
            raise unknown("rule", rule, CONTENDERS)
    for flag, value in (("--seeds", arguments.seeds), ("--workers", arguments.workers)):
        if value < 1:
            raise ConfigurationError(f"{flag} {value}: at least 1.")
    output_folder(arguments.out, "--out")
    summaries = {}
    for name in arguments.problems:
        problem = PROBLEMS[name]
        summary = run_problem(problem, arguments.rules, arguments.seeds, arguments.out, arguments.workers)
        table = markdown(problem, summary, arguments.seeds)
        (arguments.out / f"{name}.md").write_text(table)
        print(f"\n{name}\n\n{table}")
        summaries[name] = summary
    figure = arguments.out / "rules.svg"
    plot(summaries, figure)
    print(f"Tables and figure: {arguments.out}")


if __name__ == "__main__":
    run_command(main)
