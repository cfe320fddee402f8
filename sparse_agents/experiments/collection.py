"""Run folders from anywhere, told apart by what their settings differ in."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sparse_agents.errors import CheckpointError, ConfigurationError, unknown
from sparse_agents.experiments.learning_curves import History
from sparse_agents.runs import RunFolder

SPARSITY = "policy_kwargs.sparsity"
MISSING = "default"
"""Stands for a setting that a run does not name."""


@dataclass(frozen=True)
class CollectedRun:
    """A run that has been evaluated.

    Attributes:
        folder: where it is.
        seed: its own.
        settings: flat, such as ``policy_kwargs.sparsity``; neither environment nor seed.
        history: its evaluations.
    """

    folder: RunFolder
    seed: int
    settings: Mapping[str, Any]
    history: History

    @property
    def env(self) -> str:
        return self.folder.env_id

    @property
    def steps(self) -> int:
        """Environment steps before its last evaluation."""
        return int(self.history.timesteps[-1])

    @property
    def finished(self) -> bool:
        return self.folder.final_model.is_file()

    @property
    def extent(self) -> str:
        """How far it got, for people."""
        return f"{self.folder.path}, last evaluated at step {self.steps:,}"

    @cached_property
    def sparsity(self) -> float | None:
        """As it was asked for, 0 of a dense agent; None where networks have their own, or the algorithm's default."""
        if "Sparse" not in str(self.settings["policy"]):
            return 0.0
        value = self.settings.get(SPARSITY)
        return float(value) if isinstance(value, int | float) else None


def collect(paths: Iterable[Path]) -> list[CollectedRun]:
    """All runs in or below these folders that have been evaluated; of two that are the same, the later one.

    Raises:
        ConfigurationError: where there are none.
    """
    found: dict[tuple[Any, ...], CollectedRun] = {}
    given = list(paths)
    if not given:
        raise ConfigurationError("Name run folders, or folders that have some below them.")
    for path in given:
        if not path.is_dir():
            raise ConfigurationError(f"{path} is not a folder.")
        for file in sorted(path.rglob("args.yml"), key=lambda one: one.stat().st_mtime):
            folder = RunFolder.open(file.parent.parent)
            if folder.evaluations.is_file():
                run = _read(folder)
                found[run.env, run.seed, tuple(sorted((k, repr(v)) for k, v in run.settings.items()))] = run
    if not found:
        raise ConfigurationError(f"No run that has been evaluated is in {', '.join(map(str, given))}.")
    return list(found.values())


def _read(folder: RunFolder) -> CollectedRun:
    had = folder.read_settings()
    try:
        config = dict(yaml.safe_load((folder.settings / "config.yml").read_text()))
        settings = {"algo": had["algo"], "n_envs": had.get("n_envs", 1), **_flat(config)}
        return CollectedRun(folder, int(had["seed"]), settings, History.of(folder))
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"The settings of {folder.path} are damaged: {error!r}.") from error


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def of_length(runs: Sequence[CollectedRun], steps: int | None) -> tuple[list[CollectedRun], list[CollectedRun]]:
    """Runs that are long enough, so many environment steps of each; and those that are not.

    Args:
        runs: any.
        steps: by default as many as the longest run on the same environment has, of those that are finished if any
            are.
    """
    longest: dict[str, tuple[bool, int]] = {}
    for run in runs:
        longest[run.env] = max(longest.get(run.env, (False, 0)), (run.finished, run.steps))
    kept: list[CollectedRun] = []
    left: list[CollectedRun] = []
    for run in runs:
        wanted = longest[run.env][1] if steps is None else steps
        (kept if run.steps >= wanted else left).append(replace(run, history=run.history.until(wanted)))
    return kept, left


def by_label(runs: Sequence[CollectedRun], by: Sequence[str] = ()) -> dict[str, list[CollectedRun]]:
    """Runs under a name that says in what they differ from others, in the order of these names.

    Args:
        runs: any.
        by: settings to tell them apart by, ``sparsity`` for ``policy_kwargs.sparsity``; all that differ by default.

    Raises:
        ConfigurationError: naming the settings that there are, or one more to tell runs apart by.
    """
    labels = _group(runs, _names(runs, by), str(runs[0].settings["algo"]))
    for label, of_label in labels.items():
        _check_alike(label, of_label)
    return labels


def along_sparsity(runs: Sequence[CollectedRun], by: Sequence[str] = ()) -> dict[str, list[CollectedRun]]:
    """Sparse runs under a name that says in what they differ besides sparsity, dense ones under ``"dense"``; without
    those whose sparsity is not known.

    Args:
        runs: any.
        by: as of :func:`by_label`.
    """
    sparse = [run for run in runs if run.sparsity]
    names = [name for name in _names(runs, by) if name != SPARSITY and _differs(sparse, name)]
    dense = [run for run in runs if run.sparsity == 0]
    return {**_group(sparse, names, "sparse"), **({"dense": dense} if dense else {})}


def _names(runs: Sequence[CollectedRun], by: Sequence[str]) -> list[str]:
    """Of the settings to tell runs apart by."""
    known = _known(runs)
    return [_find(name, known) for name in by] if by else [name for name in known if _differs(runs, name)]


def _known(runs: Sequence[CollectedRun]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.settings))


def _group(runs: Sequence[CollectedRun], names: Sequence[str], otherwise: str) -> dict[str, list[CollectedRun]]:
    """Runs by the values of these settings, in the order of their names; under another name where there are none."""
    labels: dict[str, list[CollectedRun]] = {}
    for run in runs:
        parts = [_said(name, run.settings.get(name, MISSING)) for name in names] or [otherwise]
        labels.setdefault(", ".join(parts), []).append(run)
    return dict(sorted(labels.items()))


def _check_alike(label: str, runs: Sequence[CollectedRun]) -> None:
    for one, other in itertools.combinations(runs, 2):
        if (one.env, one.seed) == (other.env, other.seed):
            names = [name for name in _known(runs) if _differs([one, other], name)]
            raise ConfigurationError(
                f"{one.folder.path} and {other.folder.path} are both {label!r} on {one.env} with seed {one.seed}: "
                f"tell them apart by {names[0]!r}, too."
            )


def _differs(runs: Sequence[CollectedRun], name: str) -> bool:
    return len({repr(run.settings.get(name, MISSING)) for run in runs}) > 1


def _find(name: str, known: Sequence[str]) -> str:
    matching = [one for one in known if one == name or one.endswith(f".{name}")]
    if not matching:
        raise unknown("setting", name, [*known, *(one.rpartition(".")[2] for one in known if "." in one)])
    return matching[0]


def _said(name: str, value: Any) -> str:
    """Of algorithms and policies the value says enough."""
    return str(value) if name in ("algo", "policy") else f"{name.rpartition('.')[2]} {value}"
