"""Evaluations of several runs: summed up, and drawn."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_agents.errors import CheckpointError
from sparse_agents.experiments.figures import pyplot, save
from sparse_agents.experiments.intervals import Array, bootstrap
from sparse_agents.runs import RunFolder

WINDOW = 5
LINE_STYLES = ("-", "--", ":")


@dataclass(frozen=True)
class History:
    """The evaluations of one run.

    Attributes:
        name: of where they are from.
        timesteps: ``[evaluations]``.
        returns: ``[evaluations]``, means over episodes.
    """

    name: str
    timesteps: Array
    returns: Array

    @classmethod
    def of(cls, run: RunFolder) -> History:
        """As its evaluations file has it.

        Raises:
            CheckpointError: where there is none, or it is damaged.
        """
        if not run.evaluations.is_file():
            raise CheckpointError(f"There is no {run.evaluations}: the run has not been evaluated yet.")
        try:
            with run.evaluations.open("rb") as file, np.load(file) as history:
                timesteps, returns = history["timesteps"], history["results"].mean(1)
        except (OSError, EOFError, TypeError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{run.evaluations} is damaged. Remove it to leave the run out, or train it anew."
            ) from error
        if not len(timesteps):
            raise CheckpointError(f"{run.evaluations} holds no evaluation.")
        return cls(str(run.evaluations), timesteps, returns)

    def until(self, steps: int) -> History:
        """The first so many environment steps of it."""
        kept = self.timesteps <= steps
        return History(self.name, self.timesteps[kept], self.returns[kept])


@dataclass(frozen=True)
class Curves:
    """Evaluations of the same agent with several seeds.

    Attributes:
        timesteps: ``[evaluations]``.
        returns: ``[seeds, evaluations]``, means over episodes.
    """

    timesteps: Array
    returns: Array

    @classmethod
    def of(cls, histories: Sequence[History], steps: int) -> Curves:
        """Up to so many environment steps.

        Raises:
            CheckpointError: where a run has not been evaluated at the same steps as the others.
        """
        found = [history.until(steps) for history in histories]
        for one in found:
            if not len(one.timesteps) or not np.array_equal(one.timesteps, found[0].timesteps):
                raise CheckpointError(f"{one.name} has other evaluations than the runs beside it.")
        return cls(found[0].timesteps, np.stack([one.returns for one in found]))

    def last(self, evaluations: int) -> Array:
        """``[seeds]``: the mean return of the last ones."""
        return np.asarray(self.returns[:, -evaluations:].mean(1))


def draw(
    panels: Mapping[str, Mapping[str, Curves]], title: str, *paths: Path, colors: Mapping[str, Any] | None = None
) -> None:
    """A panel for each environment: mean returns over seeds, smoothed over five evaluations, and bootstrap intervals.

    Args:
        panels: agents' curves by name, by environment; the same name has the same colour everywhere.
        title: of the figure, above a line that says what is drawn.
        paths: of the files.
        colors: by name; the first one's is black by default.
    """
    plt = pyplot()
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    palette = ("black", *plt.get_cmap("tab10").colors)
    colors = colors or dict(zip(names, itertools.cycle(palette), strict=False))
    styles = {name: LINE_STYLES[index // len(palette) % len(LINE_STYLES)] for index, name in enumerate(names)}
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.5 * len(panels) + 3, 3.8), squeeze=False, layout="constrained"
    )
    for axis, (env, curves) in zip(axes[0], panels.items(), strict=True):
        for name, curve in curves.items():
            _draw_curve(axis, name, curve, {"color": colors[name], "linestyle": styles[name]})
        axis.set_xlabel("thousand environment steps")
        axis.set_ylabel("return")
        axis.set_title(env, fontsize=10)
        axis.grid(alpha=0.3)
    lines = {line.get_label(): line for axis in axes[0] for line in axis.get_legend_handles_labels()[0]}
    figure.legend(lines.values(), lines.keys(), frameon=False, fontsize=8, loc="outside right center")
    figure.suptitle(f"{title}\n{_drawn(panels)}".strip(), fontsize=9)
    save(figure, *paths)


def _drawn(panels: Mapping[str, Mapping[str, Curves]]) -> str:
    """What lines and shades are."""
    seeds = {len(curve.returns) for curves in panels.values() for curve in curves.values()}
    parts = [f"mean of {WINDOW} evaluations up to each point"]
    parts += ["shaded: 95% bootstrap intervals over seeds"] if max(seeds) > 1 else []
    parts += ["faint: evaluations of 1 seed"] if 1 in seeds else []
    return "; ".join(parts)


def _draw_curve(axis: Any, name: str, curve: Curves, style: Mapping[str, Any]) -> None:
    x = curve.timesteps / 1000
    smooth = smoothed(curve.returns)
    axis.plot(x, smooth.mean(0), **style, label=name, linewidth=1.8)
    if len(smooth) == 1:
        axis.plot(x, curve.returns[0], **style, alpha=0.25, linewidth=0.8)
        return
    _, ends = bootstrap({name: smooth}, lambda runs: runs.mean(0))
    axis.fill_between(x, *ends[name], color=style["color"], alpha=0.12, linewidth=0)


def smoothed(returns: Array) -> Array:
    """``[seeds, evaluations]``: the mean of each evaluation and the four before it."""
    ends = range(1, returns.shape[1] + 1)
    return np.stack([returns[:, max(0, end - WINDOW) : end].mean(1) for end in ends], axis=1)
