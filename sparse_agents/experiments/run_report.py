"""One page about some runs, with everything it shows in it."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.collection import MISSING, CollectedRun
from sparse_agents.experiments.comparison_figures import draw_learning_curves
from sparse_agents.experiments.documents import counted
from sparse_agents.experiments.figures import pyplot
from sparse_agents.experiments.intervals import bootstrap_interval
from sparse_agents.measures import connectivity, degrees, input_strength
from sparse_agents.nn import SparseLayer, sparse_layers
from sparse_agents.policies import SparsePolicyMixin

INPUTS_SHOWN = 60
"""Observations whose strength is drawn one by one."""


@dataclass(frozen=True)
class Size:
    """Of an agent's networks, targets left out."""

    connections: int
    dense: int

    @property
    def sparsity(self) -> float:
        return 1 - self.connections / self.dense


def size_of(policy: SparsePolicyMixin) -> Size:
    """Weights it has, and those of a dense policy; biases are not counted."""
    weights = [part.weights() for part in policy.parts()]
    return Size(sum(one for one, _ in weights), sum(dense for _, dense in weights))


@dataclass(frozen=True)
class Trained:
    """An agent, for pictures of its topology.

    Attributes:
        run: that it comes from.
        policy: its own.
    """

    run: CollectedRun
    policy: Any

    @property
    def sparse(self) -> bool:
        return isinstance(self.policy, SparsePolicyMixin)


def write_report(
    labels: Mapping[str, Sequence[CollectedRun]],
    left_out: Sequence[CollectedRun],
    agents: Mapping[str, Trained],
    last: int,
    title: str,
    path: Path,
) -> None:
    """Settings, curves, evaluations, cost, and pictures of topologies.

    Args:
        labels: the runs.
        left_out: those that are too short to be compared, to be named.
        agents: one of each label.
        last: evaluations that a return is the mean of.
        title: of the page.
        path: of the HTML file, which needs no other.

    Raises:
        ConfigurationError: where Jinja is not installed.
    """
    try:
        jinja: Any = importlib.import_module("jinja2")
    except ImportError as error:
        raise ConfigurationError("Reports need Jinja: pip install sparse-agents[experiments]") from error
    environment = jinja.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined
    )
    template = environment.from_string((Path(__file__).parent / "run_report.html").read_text())
    sparse = {label: one for label, one in agents.items() if one.sparse}
    path.write_text(
        template.render(
            title=title,
            last=last,
            curves=_curves(labels),
            rows=[_row(label, run, last) for label, runs in labels.items() for run in runs],
            summary=_summary(labels, last),
            settings=_settings(labels),
            labels=list(labels),
            left_out=[run.extent for run in left_out],
            few=min(len(run.history.timesteps) for runs in labels.values() for run in runs) < last,
            sizes={label: size_of(one.policy) for label, one in sparse.items()},
            topologies=[
                {"label": label, "env": one.run.env, "seed": one.run.seed, "layers": _topology(one.policy)}
                for label, one in sparse.items()
            ],
        )
    )


def _curves(labels: Mapping[str, Sequence[CollectedRun]]) -> str:
    with TemporaryDirectory() as folder:
        draw_learning_curves(labels, Path(folder) / "curves")
        return _embedded((Path(folder) / "curves.svg").read_bytes(), "svg+xml")


def _row(label: str, run: CollectedRun, last: int) -> dict[str, Any]:
    """A line of the table of evaluations, with what the run has cost."""
    returns, seconds = run.history.returns, _seconds(run)
    return {
        "label": label,
        "env": run.env,
        "seed": run.seed,
        "steps": f"{run.steps:,}",
        "return": f"{returns[-last:].mean():.1f}",
        "best": f"{returns.max():.1f}",
        "time": "–" if seconds is None else f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min",
        "rate": "–" if seconds is None else f"{run.steps / seconds:,.0f}",
        "folder": str(run.folder.path),
    }


def _seconds(run: CollectedRun) -> float | None:
    """From its start to the end of its last episode, as its monitor has it; of a resumed run its last part's."""
    file = run.folder.path / "0.monitor.csv"
    lines = file.read_text().splitlines() if file.is_file() else []
    ends = [float(line.split(",")[2]) for line in lines[2:] if line.count(",") >= 2]
    return max(ends) if ends else None


def _summary(labels: Mapping[str, Sequence[CollectedRun]], last: int) -> dict[str, Any]:
    """A mean over seeds with its interval for each label and environment."""
    envs = sorted({run.env for runs in labels.values() for run in runs})
    table: dict[str, list[str]] = {}
    for label, runs in labels.items():
        cells = []
        for env in envs:
            returns = np.array([run.history.returns[-last:].mean() for run in runs if run.env == env])
            cells.append(_said(returns) if len(returns) else "–")
        table[label] = cells
    return {"envs": envs, "rows": table}


def _said(returns: Any) -> str:
    interval = bootstrap_interval(returns)
    span = f" [{interval.low:.1f}, {interval.high:.1f}]" if np.isfinite(interval.low) else ""
    return f"{interval.mean:.1f}{span}, {counted(len(returns), 'seed')}"


def _settings(labels: Mapping[str, Sequence[CollectedRun]]) -> list[dict[str, Any]]:
    """Every setting that a run names, those that differ first."""
    firsts = [runs[0].settings for runs in labels.values()]
    names = list(dict.fromkeys(name for one in firsts for name in one))
    lines = []
    for name in names:
        values = [str(one.get(name, MISSING)) for one in firsts]
        lines.append({"name": name, "values": values, "differs": len(set(values)) > 1})
    return sorted(lines, key=lambda line: not line["differs"])


def _topology(policy: SparsePolicyMixin) -> list[dict[str, Any]]:
    """A picture and some numbers for each sparse layer of the online networks."""
    assert isinstance(policy, torch.nn.Module)
    online = {name: layer for part in policy.parts() for name, layer in part.layers().items()}
    first = {next(iter(part.layers()), "") for part in policy.parts()}
    found = []
    for name, layer in sparse_layers(policy).items():
        if name not in online:
            continue
        edges = layer.topology.edges
        into, out = degrees(edges)
        found.append(
            {
                "name": name,
                "shape": f"{edges.shape[1]} → {edges.shape[0]}",
                "connections": f"{edges.nnz:,}",
                "sparsity": f"{1 - edges.density:.1%}",
                "unfed": int((into == 0).sum()),
                "unread": int((out == 0).sum()),
                "picture": _draw_layer(layer, name in first),
            }
        )
    return found


def _draw_layer(layer: SparseLayer, reads_observations: bool) -> str:
    """Its matrix, its degrees, and, of a first layer, the strength of its inputs."""
    edges, weight = layer.topology.edges, layer.weight
    figure, axes = pyplot().subplots(1, 3, figsize=(11, 2.6), width_ratios=(1.4, 1, 1.6))
    absent = connectivity(edges, torch.ones_like(weight)) == 0
    drawn = np.ma.masked_array(connectivity(edges, weight).sqrt().numpy(), absent.numpy())
    colors = pyplot().get_cmap("magma").with_extremes(bad="lightgrey")
    rows, columns = edges.shape
    axes[0].imshow(
        drawn, colors, aspect="auto", interpolation="nearest", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5)
    )
    axes[0].set_title("magnitude of weights, brighter is larger; grey: absent", fontsize=8)
    axes[0].set_xlabel("input", fontsize=7)
    axes[0].set_ylabel("unit", fontsize=7)
    into, out = (one.numpy() for one in degrees(edges))
    top = max(int(into.max()), int(out.max()))
    bins = np.linspace(-0.5, top + 0.5, min(top + 2, 41))
    axes[1].hist(into, bins, alpha=0.6, density=True, label="into a unit")
    axes[1].hist(out, bins, alpha=0.6, density=True, label="out of a unit")
    axes[1].set_title("degrees", fontsize=8)
    axes[1].set_xlabel("connections", fontsize=7)
    axes[1].set_ylabel("density of units", fontsize=7)
    axes[1].legend(frameon=False, fontsize=7)
    strength = input_strength(edges, weight).numpy()
    title = "strength of observations (of critics: and actions)" if reads_observations else "strength of inputs"
    axes[2].set_xlabel("input" if len(strength) <= INPUTS_SHOWN else "inputs, strongest first", fontsize=7)
    axes[2].set_ylabel("sum of magnitudes", fontsize=7)
    if len(strength) <= INPUTS_SHOWN:
        axes[2].bar(range(len(strength)), strength)
    else:
        axes[2].plot(np.sort(strength)[::-1])
    axes[2].set_title(title, fontsize=8)
    for axis in axes:
        axis.tick_params(labelsize=6)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].yaxis.get_major_locator().set_params(integer=True)
    figure.tight_layout()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    pyplot().close(figure)
    return _embedded(file.getvalue(), "png")


def _embedded(content: bytes, kind: str) -> str:
    """As the address of a picture that is part of the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
