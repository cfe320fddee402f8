"""What a study found: a table in its document and a figure for each comparison."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sparse_agents.experiments.documents import counted, put_between_marks
from sparse_agents.experiments.intervals import bootstrap_interval
from sparse_agents.experiments.learning_curves import Curves, draw
from sparse_agents.experiments.study import Comparison, Study

ByEnvironment = Mapping[str, Mapping[str, Curves]]
"""Labels of agents to their curves, by environment."""


def report(study: Study, comparison: Comparison) -> str:
    """Draw its figure, put its table into the document, record its runs, and return the table. Runs that are not done
    are left out; where none is done the document stays as it is.
    """
    curves = _curves(study, comparison)
    study.record.write()
    table = markdown(study, comparison, curves)
    drawn = {env: of_env for env, of_env in curves.items() if of_env}
    if not drawn:
        return table
    study.figures.mkdir(parents=True, exist_ok=True)
    figure = study.figures / f"{comparison.name}.svg"
    draw(drawn, f"{comparison.steps:,} steps, up to {counted(comparison.seeds, 'seed')}", figure)
    link = Path(os.path.relpath(figure, study.document.parent)).as_posix()
    put_between_marks(study.document, place_of(comparison), f"{table}\n\n![Learning curves]({link})")
    return table


def place_of(comparison: Comparison) -> str:
    """The mark of its place in the document."""
    return f"study: {comparison.name}"


def _curves(study: Study, comparison: Comparison) -> ByEnvironment:
    found: dict[str, dict[str, Curves]] = {env: {} for env in comparison.envs}
    for env in comparison.envs:
        for label, agent in comparison.agents.items():
            histories = [study.history(agent, env, comparison.steps, seed) for seed in range(comparison.seeds)]
            known = [history for history in histories if history is not None]
            if known:
                found[env][label] = Curves.of(known, comparison.steps)
    return found


def markdown(study: Study, comparison: Comparison, curves: ByEnvironment) -> str:
    """Returns with intervals over seeds, and what part of the first agent's mean they are, where that has every seed
    and is positive.
    """
    last = study.evaluations.last
    first = next(iter(comparison.agents))
    scores = {env: of_env[first].last(last) for env, of_env in curves.items() if first in of_env}
    known = {env: float(of_first.mean()) for env, of_first in scores.items() if len(of_first) == comparison.seeds}
    references = {env: mean for env, mean in known.items() if mean > 0}
    lines = [
        f"{comparison.steps:,} environment steps, {counted(comparison.seeds, 'seed')}: "
        f"`python scripts/study.py {study.path} {comparison.name}`",
        "",
        f"| | {' | '.join(comparison.envs)} | of {first} |",
        f"|---|{'---|' * len(comparison.envs)}---|",
    ]
    for label in comparison.agents:
        cells = [
            _cell(of_env.get(label), last, comparison.seeds, references.get(env)) for env, of_env in curves.items()
        ]
        lines.append(f"| {label} | {' | '.join(cells)} | {_overall(curves, label, study, comparison, references)} |")
    return "\n".join(lines)


def _cell(curve: Curves | None, last: int, seeds: int, reference: float | None) -> str:
    if curve is None:
        return "–"
    mean, low, high = bootstrap_interval(curve.last(last))
    text = f"{mean:.0f}" if math.isinf(low) else f"{mean:.0f} [{low:.0f}, {high:.0f}]"
    text += "" if reference is None else f", **{mean / reference:.2f}**"
    found = len(curve.returns)
    return text if found == seeds else f"{text} ({counted(found, 'seed')})"


def _overall(
    curves: ByEnvironment, label: str, study: Study, comparison: Comparison, references: Mapping[str, float]
) -> str:
    """The mean over environments of returns as parts of the reference's mean, where every seed is there."""
    of_label = [of_env[label].last(study.evaluations.last) / references[env] for env, of_env in curves.items()
                if label in of_env and env in references]  # fmt: skip
    if len(of_label) < len(curves) or any(len(scores) < comparison.seeds for scores in of_label):
        return "–"
    mean, low, high = bootstrap_interval(np.stack(of_label, axis=1))
    return f"{mean:.2f}" if math.isinf(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"
