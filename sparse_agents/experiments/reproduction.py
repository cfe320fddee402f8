"""A published comparison, run again: the runs, the table beside the published one, the curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sparse_agents.experiments import ds_td3_paper as paper
from sparse_agents.experiments.commands import TrainCommand, run_commands
from sparse_agents.experiments.documents import counted
from sparse_agents.experiments.intervals import bootstrap_interval
from sparse_agents.experiments.learning_curves import Curves, History, draw


def reproduce(env: str, seeds: Sequence[int], steps: int, workers: int, logs: Path, out: Path) -> str:
    """Run what is not done yet; write ``<env>.md`` and ``<env>.svg`` into ``out``, and return the table."""
    commands = {
        name: [
            TrainCommand(
                f"{name}, {env}, seed {seed}", variant.arguments(env, seed, steps), logs / env / name / str(seed), steps
            )
            for seed in seeds
        ]
        for name, variant in paper.VARIANTS.items()
    }
    in_turns = [command for of_a_seed in zip(*commands.values(), strict=True) for command in of_a_seed]
    run_commands(in_turns, workers)
    curves = {
        name: Curves.of([History.of(run) for one in of_a_name if (run := one.finished_run())], steps)
        for name, of_a_name in commands.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    draw({env: curves}, _length(steps, len(seeds)), out / f"{env}.svg")
    table = markdown(env, curves, steps)
    (out / f"{env}.md").write_text(table)
    return table


def markdown(env: str, curves: Mapping[str, Curves], steps: int) -> str:
    """The last evaluations and the area under the curve, beside what was published."""
    seeds = len(next(iter(curves.values())).returns)
    lines = [
        f"# {env}",
        "",
        f"{_length(steps, seeds)}, at the settings of Sokar et al. (2022): `scripts/reproduce.py ds_td3 --env {env} "
        f"--seeds {seeds} --steps {steps}`.",
    ]
    if steps < paper.STEPS:
        lines += [
            f"**Partial**: published are runs of {paper.STEPS:,} steps with five seeds, on the environment's third "
            "version. Compare the agents with each other, not with these.",
        ]
    lines += [
        "",
        f"Return: mean of the last {paper.LAST_EVALUATIONS} evaluations of {paper.EVALUATION_EPISODES} episodes"
        + (" [95% bootstrap interval over seeds]." if seeds > 1 else "."),
        "LCA, the area under the learning curve: mean return of all evaluations, over 5000.",
        "",
        "| | return | published | LCA | published |",
        "|---|---|---|---|---|",
    ]
    for name, curve in curves.items():
        published = paper.PUBLISHED[env][name]
        lines.append(
            f"| {name} | {_interval(curve, paper.LAST_EVALUATIONS)} | {published.mean:.0f} ± {published.deviation:.0f} "
            f"| {curve.returns.mean() / 5000:.4f} | {published.area:.4f} |"
        )
    return "\n".join([*lines, "", f"![Learning curves]({env}.svg)", ""])


def _interval(curve: Curves, evaluations: int) -> str:
    mean, low, high = bootstrap_interval(curve.last(evaluations))
    return f"{mean:.0f}" if math.isinf(low) else f"{mean:.0f} [{low:.0f}, {high:.0f}]"


def _length(steps: int, seeds: int) -> str:
    return f"{steps:,} environment steps, {counted(seeds, 'seed')}"
