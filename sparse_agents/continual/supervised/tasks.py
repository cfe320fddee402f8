"""Sequences of classification tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor


class Samples(NamedTuple):
    """Labelled samples: inputs ``[samples, features]``, labels ``[samples]`` int64."""

    inputs: Tensor
    labels: Tensor

    def of_classes(self, classes: Sequence[int]) -> Samples:
        chosen = torch.isin(self.labels, torch.tensor(classes).to(self.labels.device))
        return Samples(self.inputs[chosen], self.labels[chosen])

    def to(self, device: str) -> Samples:
        return Samples(self.inputs.to(device), self.labels.to(device))


@dataclass(frozen=True)
class ClassificationTask:
    """One of a sequence.

    Attributes:
        name: for people.
        train, test: samples.
        classes: labels that occur, of all those of the sequence.
    """

    name: str
    train: Samples
    test: Samples
    classes: tuple[int, ...]


@dataclass(frozen=True)
class ClassificationSequence:
    """Tasks one after the other.

    Attributes:
        name: for people.
        tasks: in order.
        inputs: features of a sample.
        classes: of all tasks together.
    """

    name: str
    tasks: tuple[ClassificationTask, ...]
    inputs: int
    classes: int

    def to(self, device: str) -> ClassificationSequence:
        """With all samples there."""
        tasks = (replace(task, train=task.train.to(device), test=task.test.to(device)) for task in self.tasks)
        return replace(self, tasks=tuple(tasks))

    @property
    def disjoint(self) -> bool:
        """Whether every class belongs to one task alone."""
        seen = [label for task in self.tasks for label in task.classes]
        return len(seen) == len(set(seen))


def split(name: str, train: Samples, test: Samples, classes_per_task: int) -> ClassificationSequence:
    """A few classes at a time, in the order of their labels."""
    labels = sorted(set(train.labels.tolist()))
    groups = [tuple(labels[i : i + classes_per_task]) for i in range(0, len(labels), classes_per_task)]
    tasks = [
        ClassificationTask(", ".join(map(str, group)), train.of_classes(group), test.of_classes(group), group)
        for group in groups
    ]
    return ClassificationSequence(name, tuple(tasks), train.inputs.shape[1], len(labels))


def permuted(name: str, train: Samples, test: Samples, tasks: int, seed: int = 0) -> ClassificationSequence:
    """All classes each time, the features in another order each time: the first task's is the samples' own."""
    generator = torch.Generator().manual_seed(seed)
    features = train.inputs.shape[1]
    orders = [torch.arange(features), *(torch.randperm(features, generator=generator) for _ in range(tasks - 1))]
    classes = tuple(sorted(set(train.labels.tolist())))
    return ClassificationSequence(
        name,
        tuple(
            ClassificationTask(
                f"order {index}",
                Samples(train.inputs[:, order], train.labels),
                Samples(test.inputs[:, order], test.labels),
                classes,
            )
            for index, order in enumerate(orders)
        ),
        features,
        len(classes),
    )


def rotated(
    name: str, train: Samples, test: Samples, angles: Sequence[float], shape: tuple[int, int]
) -> ClassificationSequence:
    """All classes each time, images turned by so many degrees, anticlockwise; what comes from outside is 0.

    Args:
        name, train, test: features are pixels, row by row.
        angles: one for each task.
        shape: rows and columns of an image.
    """
    classes = tuple(sorted(set(train.labels.tolist())))
    tasks = [
        ClassificationTask(
            f"{angle:g}°",
            Samples(turned(train.inputs, angle, shape), train.labels),
            Samples(turned(test.inputs, angle, shape), test.labels),
            classes,
        )
        for angle in angles
    ]
    return ClassificationSequence(name, tuple(tasks), train.inputs.shape[1], len(classes))


def turned(images: Tensor, degrees: float, shape: tuple[int, int]) -> Tensor:
    """Images ``[samples, pixels]`` turned about their middle, anticlockwise, with bilinear interpolation."""
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    rows, columns = shape
    cos, sin = torch.cos(angle), torch.sin(angle)
    # Coordinates run from -1 to 1 in both directions, of which one may be longer; y points down.
    transform = torch.stack(
        [torch.stack([cos, -sin * rows / columns, cos * 0]), torch.stack([sin * columns / rows, cos, cos * 0])]
    )
    grid = torch.nn.functional.affine_grid(
        transform.expand(len(images), 2, 3).contiguous(), [len(images), 1, rows, columns], align_corners=False
    )
    turned_images = torch.nn.functional.grid_sample(images.view(-1, 1, rows, columns), grid, align_corners=False)
    return turned_images.view(len(images), -1)
