"""Sequences of classification tasks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sparse_agents.continual.supervised.digits import SHAPE, digits
from sparse_agents.continual.supervised.tasks import ClassificationSequence, Samples, permuted, rotated, split
from sparse_agents.errors import unknown

TASKS = 5
ANGLES = (0.0, 30.0, 60.0, 90.0, 120.0)

Source = Callable[[Path | None], tuple[Samples, Samples]]
SOURCES: Mapping[str, tuple[Source, tuple[int, int]]] = {"digits": (lambda _: digits(), SHAPE)}
"""Data sets: what reads samples to train on and to test from a folder, and the shape of an image."""

SEQUENCES = tuple(f"{kind}-{source}" for source in SOURCES for kind in ("split", "permuted", "rotated"))


def classification_sequence(name: str, data: Path | None = None) -> ClassificationSequence:
    """One of ``SEQUENCES``, its inputs of mean 0 and standard deviation 1.

    Args:
        name: ``split-…`` has two classes in each task, ``permuted-…`` five orders of the pixels, ``rotated-…`` five
            angles.
        data: the folder of data sets that do not come with a package.

    Raises:
        ConfigurationError: for an unknown name, or data that is not there.
    """
    if name not in SEQUENCES:
        raise unknown("sequence", name, SEQUENCES)
    kind, _, source = name.partition("-")
    read, shape = SOURCES[source]
    train, test = read(data)
    mean, deviation = train.inputs.mean(), train.inputs.std()
    train, test = (Samples((one.inputs - mean) / deviation, one.labels) for one in (train, test))
    if kind == "split":
        return split(name, train, test, classes_per_task=2)
    if kind == "permuted":
        return permuted(name, train, test, TASKS)
    return rotated(name, train, test, ANGLES, shape)
