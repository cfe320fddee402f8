"""Sequences of classification tasks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sparse_agents.continual.supervised.digits import SHAPE, digits
from sparse_agents.continual.supervised.files import read_cifar, read_idx_folder
from sparse_agents.continual.supervised.tasks import ClassificationSequence, Samples, permuted, rotated, split
from sparse_agents.errors import unknown

TASKS = 5
ANGLES = (0.0, 30.0, 60.0, 90.0, 120.0)


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        read: samples to train on and to test, given the folder of data sets that do not come with a package.
        shape: of a grey image, which can be rotated; None of others.
        classes_per_task: where classes are split.
    """

    read: Callable[[Path | None], tuple[Samples, Samples]]
    shape: tuple[int, int] | None = None
    classes_per_task: int = 2

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("split", "permuted") if self.shape is None else ("split", "permuted", "rotated")


SOURCES: Mapping[str, Source] = {
    "digits": Source(lambda _: digits(), SHAPE),
    "mnist": Source(partial(read_idx_folder, name="mnist"), (28, 28)),
    "fashion-mnist": Source(partial(read_idx_folder, name="fashion-mnist"), (28, 28)),
    "cifar-10": Source(partial(read_cifar, name="cifar-10-batches-py")),
    "cifar-100": Source(partial(read_cifar, name="cifar-100-python"), classes_per_task=10),
}
SEQUENCES = tuple(f"{kind}-{name}" for name, source in SOURCES.items() for kind in source.kinds)


def classification_sequence(name: str, data: Path | None = None) -> ClassificationSequence:
    """One of ``SEQUENCES``, its inputs of mean 0 and standard deviation 1.

    Args:
        name: ``split-…`` has a few classes in each task, ``permuted-…`` five orders of the pixels, ``rotated-…`` five
            angles.
        data: the folder of data sets that do not come with a package.

    Raises:
        ConfigurationError: for an unknown name, or data that is not there.
    """
    if name not in SEQUENCES:
        raise unknown("sequence", name, SEQUENCES)
    kind, _, of = name.partition("-")
    source = SOURCES[of]
    train, test = source.read(data)
    mean, deviation = train.inputs.mean(), train.inputs.std()
    train, test = (Samples((one.inputs - mean) / deviation, one.labels) for one in (train, test))
    if kind == "split":
        return split(name, train, test, source.classes_per_task)
    if kind == "permuted" or source.shape is None:
        return permuted(name, train, test, TASKS)
    return rotated(name, train, test, ANGLES, source.shape)
