"""Every rule on the same problems: the runs, the table, the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparse_agents.experiments.algorithms import TASKS, trained_return
from sparse_agents.experiments.contenders import CONTENDERS
from sparse_agents.experiments.digits import digits_accuracy
from sparse_agents.experiments.figures import pyplot, save
from sparse_agents.experiments.grid import run_grid
from sparse_agents.experiments.intervals import Interval, mean_interval
from sparse_agents.experiments.pendulum import pendulum_return

Summary = dict[str, dict[float, Interval]]


@dataclass(frozen=True)
class Problem:
    """What every contender is trained on.

    Attributes:
        name: of the table's file.
        run: ``(contender, sparsity, seed)`` to results.
        score: the result that is compared; higher is better.
        results: all of them.
        sparsities: at which.
        unit: of the score, for people.
        method: what was run, and where contenders differ in more than their rule.
    """

    name: str
    run: Callable[..., Mapping[str, Any]]
    score: str
    results: Sequence[str]
    sparsities: Sequence[float]
    unit: str
    method: str


_DIGITS = Problem(
    name="digits",
    run=digits_accuracy,
    score="accuracy",
    results=("accuracy", "connections"),
    sparsities=(0.9, 0.95, 0.98),
    unit="test accuracy in percent",
    method=(
        "A 64-256-256-10 network on scikit-learn's digits (1347 images to train on, 450 to test), Adam at 1e-3, "
        "minibatches of 64, 100 epochs. The topology is updated once an epoch in the first three quarters of them, at "
        "each rule's published drop fraction and annealing. Rules that start dense had a dense network for part of the "
        "run; `topkast` stores twice the connections it computes with; `nm` rounds to whole connections in 64."
    ),
)
_PENDULUM = Problem(
    name="pendulum",
    run=pendulum_return,
    score="return",
    results=("return",),
    sparsities=(0.9,),
    unit="return of 20 episodes",
    method=(
        "SAC with 256-256 hidden units on Pendulum-v1: 5000 steps, of which 500 are random, learning rate 1e-3, a "
        "topology update every 250 gradient steps in the first three quarters. `nm` keeps the first layers dense."
    ),
)


def _agents(name: str) -> Problem:
    task = TASKS[name]
    return Problem(
        name=name,
        run=partial(trained_return, task=name),
        score="return",
        results=("return",),
        sparsities=(0.8,),
        unit="return of 20 episodes",
        method=(
            f"{task.algorithm} with 256-256 hidden units on {task.env}: {task.steps:,} steps, rl-zoo3's settings, 40 "
            "topology updates in the first three quarters."
        ),
    )


PROBLEMS = {problem.name: problem for problem in (_DIGITS, _PENDULUM, *map(_agents, TASKS))}


def run_problem(problem: Problem, names: Sequence[str], seeds: int, folder: Path, workers: int) -> Summary:
    """Run what ``folder`` does not hold yet, and sum up: contender to sparsity to mean and interval."""
    jobs = [
        {"contender": name, "sparsity": sparsity, "seed": seed}
        for seed in range(seeds)
        for name in names
        for sparsity in (problem.sparsities if CONTENDERS[name].topology is not None else (0.0,))
    ]
    rows = run_grid(jobs, problem.run, folder / f"{problem.name}.csv", problem.results, workers)
    values: dict[tuple[str, float], list[float]] = {}
    for row in rows:
        values.setdefault((row["contender"], float(row["sparsity"])), []).append(float(row[problem.score]))
    summary: Summary = {}
    for (name, sparsity), scores in values.items():
        summary.setdefault(name, {})[sparsity] = mean_interval(scores)
    return summary


def markdown(problem: Problem, summary: Summary, seeds: int) -> str:
    """The table, best at the highest sparsity first."""
    hardest = problem.sparsities[-1]

    def at_hardest(name: str) -> float:
        return next(summary[name][sparsity].mean for sparsity in (hardest, 0.0) if sparsity in summary[name])

    order = sorted(summary, key=at_hardest, reverse=True)
    head = [f"{sparsity:.0%} sparse" for sparsity in problem.sparsities]
    lines = [
        problem.method,
        "",
        f"{problem.unit.capitalize()}, mean of {seeds} seeds [95% t interval].",
        "",
        "| rule | " + " | ".join(head) + " |",
        "|---" * (len(head) + 1) + "|",
    ]
    for name in order:
        cells = [_cell(summary[name].get(sparsity, summary[name].get(0.0))) for sparsity in problem.sparsities]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return ""
    digits = 1 if abs(interval.mean) < 100 else 0
    if math.isinf(interval.low):
        return f"{interval.mean:.{digits}f}"
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def plot(summaries: Mapping[str, Summary], path: Path) -> None:
    """One panel per problem and sparsity: contenders from worst to best, with their intervals."""
    plt = pyplot()
    panels = [(PROBLEMS[name], sparsity) for name in summaries for sparsity in PROBLEMS[name].sparsities]
    rows = max(len(summary) for summary in summaries.values())
    figure, axes = plt.subplots(1, len(panels), figsize=(3.1 * len(panels), 0.24 * rows + 1.2), squeeze=False)
    for axis, (problem, sparsity) in zip(axes[0], panels, strict=True):
        found = {name: values.get(sparsity, values.get(0.0)) for name, values in summaries[problem.name].items()}
        present = {name: value for name, value in found.items() if value is not None}
        order = sorted(present, key=lambda name: present[name].mean)
        for y, name in enumerate(order):
            value = present[name]
            color = {"dense": "black", "static": "tab:red"}.get(name, "tab:blue")
            axis.plot([value.low, value.high], [y, y], color=color, linewidth=1.6)
            axis.plot(value.mean, y, "o", color=color, markersize=4)
        axis.set_yticks(range(len(order)), order, fontsize=7)
        axis.tick_params(axis="x", labelsize=7)
        axis.locator_params(axis="x", nbins=4)
        axis.set_title(f"{problem.name}, {sparsity:.0%} sparse", fontsize=9)
        axis.set_xlabel(problem.unit, fontsize=8)
        axis.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    save(figure, path)
