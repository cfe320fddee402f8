"""Figures of several agents beside each other, in PNG and SVG."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparse_agents.experiments.aggregates import Scores, improvement, profiles
from sparse_agents.experiments.collection import CollectedRun
from sparse_agents.experiments.figures import pyplot, save
from sparse_agents.experiments.intervals import Interval, bootstrap_interval
from sparse_agents.experiments.learning_curves import Curves, draw

LEVELS = 401
"""Points of a performance profile."""


def colors_of(labels: Sequence[str]) -> dict[str, Any]:
    """The same in all figures."""
    return dict(zip(labels, itertools.cycle(pyplot().get_cmap("tab10").colors), strict=False))


def draw_learning_curves(labels: Mapping[str, Sequence[CollectedRun]], path: Path) -> None:
    """A panel for each environment."""
    envs = sorted({run.env for runs in labels.values() for run in runs})
    panels: dict[str, dict[str, Curves]] = {}
    for env in envs:
        for label, runs in labels.items():
            histories = [run.history for run in runs if run.env == env]
            if histories:
                panels.setdefault(env, {})[label] = Curves.of(histories, int(histories[0].timesteps[-1]))
    draw(panels, "", *_both(path), colors=colors_of([*labels]))


def draw_aggregates(found: Mapping[str, Mapping[str, Interval]], title: str, path: Path) -> None:
    """Interquartile mean, mean and median side by side, an agent in each line."""
    kinds = list(next(iter(found.values())))
    colors = colors_of([*found])
    figure, axes = pyplot().subplots(
        1, len(kinds), figsize=(3 * len(kinds) + 2, 0.4 * len(found) + 1.2), sharey=True, squeeze=False
    )
    for axis, kind in zip(axes[0], kinds, strict=True):
        _lines(axis, {label: of_label[kind] for label, of_label in found.items()}, colors)
        axis.set_title(kind, fontsize=10)
        axis.set_xlabel("score")
    _save(figure, title, path)


def draw_profiles(scores: Scores, title: str, path: Path) -> None:
    """The fraction of an agent's runs with a score above some, over these."""
    every = np.concatenate([one.reshape(-1) for one in scores.values()])
    levels = np.linspace(min(0.0, float(every.min())), float(every.max()) * 1.02, LEVELS)
    figure, axis = pyplot().subplots(figsize=(6, 3.8))
    colors = colors_of([*scores])
    for label, (points, interval) in profiles(scores, levels).items():
        axis.step(levels, points, where="post", label=label, color=colors[label], linewidth=1.8)
        if len(scores[label]) > 1:
            axis.fill_between(levels, *interval, step="post", color=colors[label], alpha=0.12, linewidth=0)
    axis.set_xlabel("score")
    axis.set_ylabel("fraction of runs with a score above it")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    _save(figure, title, path)


def draw_improvement(scores: Scores, over: str, path: Path) -> None:
    """How likely each agent is better than one of them."""
    found = improvement(scores, over)
    figure, axis = pyplot().subplots(figsize=(6, 0.4 * len(found) + 1.4))
    _lines(axis, found, colors_of([*scores]))
    axis.axvline(0.5, color="grey", linewidth=0.8, linestyle=":")
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability")
    _save(figure, f"a run is better than one of {over}", path)


def draw_sparsity(lines: Mapping[str, Sequence[CollectedRun]], last: int, path: Path) -> None:
    """Returns over sparsities, a panel for each environment and a line for each name; of dense runs a level."""
    envs = sorted({run.env for runs in lines.values() for run in runs})
    figure, axes = pyplot().subplots(1, len(envs), figsize=(4.6 * len(envs), 3.8), squeeze=False)
    colors = colors_of([*lines])
    for axis, env in zip(axes[0], envs, strict=True):
        for label, runs in lines.items():
            returns: dict[float, list[float]] = {}
            for run in (one for one in runs if one.env == env and one.sparsity is not None):
                returns.setdefault(run.sparsity or 0.0, []).append(float(run.history.returns[-last:].mean()))
            if returns:
                _over_sparsity(axis, label, returns, colors[label])
        axis.set_title(env, fontsize=10)
        axis.set_xlabel("sparsity")
        axis.set_ylabel("return")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    _save(figure, f"mean of a run's last {last} evaluations", path)


def _over_sparsity(axis: Any, label: str, returns: Mapping[float, Sequence[float]], color: Any) -> None:
    """One line, its intervals and every run; a level with its interval where there is no sparsity but 0."""
    x = sorted(returns)
    intervals = [bootstrap_interval(np.array(returns[one])) for one in x]
    if x == [0.0]:
        axis.axhline(intervals[0].mean, label=label, color=color, linestyle="--")
        if np.isfinite(intervals[0].low):
            axis.axhspan(intervals[0].low, intervals[0].high, color=color, alpha=0.1, linewidth=0)
        return
    axis.plot(x, [one.mean for one in intervals], marker="o", label=label, color=color)
    low, high = (np.array([getattr(one, side) for one in intervals]) for side in ("low", "high"))
    known = np.isfinite(low)
    axis.vlines(np.array(x)[known], low[known], high[known], color=color, alpha=0.5)
    for one in x:
        axis.scatter([one] * len(returns[one]), returns[one], color=color, alpha=0.25, s=14)


def _lines(axis: Any, found: Mapping[str, Interval], colors: Mapping[str, Any]) -> None:
    names = list(found)[::-1]
    for place, name in enumerate(names):
        interval = found[name]
        if np.isfinite(interval.low):
            ends = [interval.low, interval.high]
            axis.plot(ends, [place, place], color=colors[name], linewidth=7, alpha=0.3, solid_capstyle="butt")
        axis.plot(interval.mean, place, "|", color=colors[name], markersize=14, markeredgewidth=2.5)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.grid(alpha=0.3, axis="x")


def _save(figure: Any, title: str, path: Path) -> None:
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    save(figure, *_both(path))


def _both(path: Path) -> list[Path]:
    return [path.with_suffix(suffix) for suffix in (".png", ".svg")]
