"""What methods made of a sequence of tasks: a table for each identity, and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sparse_agents.continual.metrics import Scores
from sparse_agents.experiments.figures import pyplot, save
from sparse_agents.experiments.intervals import Interval, mean_interval
from sparse_agents.experiments.sequences import ByMethod, BySeed, beside, metrics_of

COLUMNS = 4
"""Panels beside each other."""
HEADINGS = {"known": "told which task it is", "unknown": "not told which task it is"}


def markdown(runs: ByMethod) -> str:
    """Means over seeds with 95% intervals; accuracies in percent."""
    return "\n\n".join(_table(runs, identity) for identity in _identities(runs))


def _table(runs: ByMethod, identity: str) -> str:
    rows: dict[str, dict[str, Interval]] = {}
    for method, by_seed in runs.items():
        found = [
            metrics_of(run, identity, beside(runs, method, seed))
            for seed, run in by_seed.items()
            if identity in run.identities
        ]
        names = [name for name in found[0] if all(name in one for one in found)] if found else []
        if names:
            rows[method] = {name: mean_interval([one[name] for one in found]) for name in names}
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    scale = 100.0 if is_share(runs) else 1.0
    lines = [
        f"Answers {HEADINGS[identity]}:",
        "",
        f"| | {' | '.join(columns)} | seeds |",
        f"|---|{'---|' * len(columns)}---|",
    ]
    for method in sorted(rows, key=lambda name: -rows[name]["ACC"].mean):
        cells = [_cell(rows[method].get(name), 100.0 if name.startswith("CW") else scale) for name in columns]
        lines.append(f"| {method} | {' | '.join(cells)} | {len(runs[method])} |")
    return "\n".join(lines)


def _cell(interval: Interval | None, scale: float) -> str:
    if interval is None:
        return "–"
    mean, half = interval.mean * scale, (interval.high - interval.mean) * scale
    digits = 1 if scale == 100.0 else 0
    text = f"{mean:.{digits}f}"
    return text if math.isinf(half) else f"{text} ± {half:.{digits}f}"


def is_share(runs: ByMethod) -> bool:
    """Whether all scores are in 0..1, as accuracies are."""
    scores = [run.evaluations["score"] for by_seed in runs.values() for run in by_seed.values()]
    return all(float(one.min()) >= 0 and float(one.max()) <= 1 for one in scores)


def _identities(runs: ByMethod) -> Sequence[str]:
    """Those that any run has answered under, the harder one first."""
    found = {identity for by_seed in runs.values() for run in by_seed.values() for identity in run.identities}
    return [identity for identity in ("unknown", "known") if identity in found]


def draw_matrices(runs: ByMethod, path: Path) -> None:
    """A panel for each method: the mean score matrix, row by row from before training to the end."""
    identity = _identities(runs)[0]
    share = is_share(runs)
    means = {method: _mean_matrix(by_seed, identity) for method, by_seed in runs.items()}
    low = 0.0 if share else min(float(np.nanmin(one)) for one in means.values())
    high = 1.0 if share else max(float(np.nanmax(one)) for one in means.values())
    figure, axes = _panels(len(means), 2.6, 2.6)
    for axis, (method, matrix) in zip(axes, means.items(), strict=True):
        axis.imshow(matrix, vmin=low, vmax=high, cmap="viridis", aspect="auto")
        for (row, task), value in np.ndenumerate(matrix):
            if not np.isnan(value):
                dark = (value - low) / (high - low or 1) < 0.6
                text = f"{100 * value:.0f}" if share else f"{value:.0f}"
                axis.text(task, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        tasks = matrix.shape[1]
        axis.set_xticks(range(tasks), [str(task + 1) for task in range(tasks)], fontsize=7)
        axis.set_yticks(range(tasks + 1), [str(row) for row in range(tasks + 1)], fontsize=7)
        axis.set_title(method, fontsize=9)
    axes[0].set_xlabel("score on task", fontsize=8)
    axes[0].set_ylabel("tasks learned", fontsize=8)
    figure.suptitle(f"Answers {HEADINGS[identity]}, mean over seeds", fontsize=10)
    _save(figure, path)


def draw_curves(runs: ByMethod, path: Path) -> None:
    """A panel for each method: every task's score along the sequence, with intervals over seeds."""
    identity = _identities(runs)[0]
    figure, axes = _panels(len(runs), 3.2, 2.2)
    for axis, (method, by_seed) in zip(axes, runs.items(), strict=True):
        tables = [run.evaluations for run in by_seed.values()]
        tables = [table[table["identity"] == identity] for table in tables]
        tasks = int(tables[0]["task"].max()) + 1
        length = int(tables[0]["step"].max()) / tasks
        for task in range(tasks):
            of_task = [table[table["task"] == task].drop_duplicates("step", keep="last") for table in tables]
            scores = np.stack([one["score"].to_numpy() for one in of_task])
            steps = of_task[0]["step"].to_numpy()
            (line,) = axis.plot(steps, scores.mean(axis=0), linewidth=1.2, label=f"task {task + 1}")
            if len(scores) > 1:
                intervals = [mean_interval(scores[:, i].tolist()) for i in range(len(steps))]
                axis.fill_between(
                    steps, [one.low for one in intervals], [one.high for one in intervals], alpha=0.15,
                    color=line.get_color(), linewidth=0,
                )  # fmt: skip
        for task in range(1, tasks):
            axis.axvline(task * length, color="grey", linewidth=0.6, linestyle=":")
        if is_share(runs):
            axis.set_ylim(-0.03, 1.03)
        axis.set_title(method, fontsize=9)
        axis.tick_params(labelsize=7)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="lower center", ncols=len(labels))
    figure.suptitle(f"Score on each task along the sequence; answers {HEADINGS[identity]}", fontsize=10)
    _save(figure, path)


def draw_capacity(runs: ByMethod, path: Path) -> None:
    """A panel for each method that keeps connections for good: what part of all layers that is after each task."""
    parts = {method: _in_use(by_seed) for method, by_seed in runs.items()}
    parts = {method: part for method, part in parts.items() if float(part["frozen"].max()) > 0}
    if not parts:
        return
    figure, axes = _panels(len(parts), 2.6, 2.0)
    for axis, (method, part) in zip(axes, parts.items(), strict=True):
        axis.bar(part.index, part["frozen"], color="tab:blue", alpha=0.5, label="frozen")
        axis.bar(part.index, part["shared"], color="tab:blue", width=0.4, label="shared")
        axis.set_title(method, fontsize=9)
        axis.tick_params(labelsize=7)
    axes[0].set_xlabel("tasks learned", fontsize=8)
    axes[0].set_ylabel("% of the dense network", fontsize=8)
    axes[0].legend(frameon=False, fontsize=7)
    figure.suptitle("Connections in use for good", fontsize=10)
    _save(figure, path)


def _in_use(by_seed: BySeed) -> pd.DataFrame:
    """Percent of the dense network, mean over seeds, by tasks learned."""
    totals = [run.capacity.groupby("learned")[["possible", "frozen", "shared"]].sum() for run in by_seed.values()]
    mean = sum(totals[1:], start=totals[0]) / len(totals)
    return mean[["frozen", "shared"]].div(mean["possible"], axis=0) * 100


def _mean_matrix(by_seed: BySeed, identity: str) -> Scores:
    matrices = [run.matrix(identity) for run in by_seed.values() if identity in run.identities]
    mean: Scores = np.mean(matrices, axis=0)
    return mean


def _panels(count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure, axes = pyplot().subplots(rows, columns, figsize=(width * columns, height * rows + 0.4), squeeze=False)
    every = list(axes.flat)
    for axis in every[count:]:
        axis.axis("off")
    return figure, every[:count]


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout(rect=(0, 0.03, 1, 1))  # room for a legend
    save(figure, path)
