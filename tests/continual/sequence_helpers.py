"""Small sequences of tasks, and runs over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods import make_method
from sparse_agents.continual.runner import SequenceRun
from sparse_agents.continual.supervised.learner import Classifier, Training
from sparse_agents.continual.supervised.tasks import ClassificationSequence, Samples, permuted, split

SMALL = Training(hidden=(20, 20), batch_size=16, steps=12, learning_rate=0.1)
OPTIONS: dict[str, dict[str, Any]] = {"ewc": {"strength": 1.0}, "er": {"memory": 20}, "der++": {"memory": 20}}
"""That suit a small network."""


def clusters(classes: int = 6, features: int = 12, seed: int = 0) -> tuple[Samples, Samples]:
    """A Gaussian blob for each class."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, features, generator=generator) * 2

    def draw(each: int) -> Samples:
        labels = torch.arange(classes).repeat_interleave(each)
        noise = torch.randn(len(labels), features, generator=generator)
        return Samples(centres[labels] + noise, labels)

    return draw(20), draw(10)


def split_clusters() -> ClassificationSequence:
    return split("split-clusters", *clusters(), classes_per_task=2)


def permuted_clusters() -> ClassificationSequence:
    return permuted("permuted-clusters", *clusters(classes=4), tasks=3)


def learner_and_method(
    name: str,
    sequence: ClassificationSequence | None = None,
    training: Training = SMALL,
    seed: int = 0,
    **options: Any,
) -> tuple[Classifier, ContinualMethod]:
    sequence = sequence or split_clusters()
    learner = Classifier(sequence, training, seed)
    method = make_method(name, learner, len(sequence.tasks), seed, **{**OPTIONS.get(name, {}), **options})
    method.prepare()
    return learner, method


def run_sequence(
    folder: Path,
    name: str,
    sequence: ClassificationSequence | None = None,
    training: Training = SMALL,
    seed: int = 0,
    progress: Callable[[int], None] = lambda steps: None,
    **options: Any,
) -> Classifier:
    """A new run, or one that goes on."""
    sequence = sequence or split_clusters()
    given = {**OPTIONS.get(name, {}), **options}
    run = SequenceRun(
        folder,
        lambda saved: Classifier(sequence, training, seed, saved),
        lambda learner: make_method(name, learner, len(sequence.tasks), seed, **given),
        eval_every=4,
        save_every=5,
        progress=progress,
    )
    run.run()
    assert isinstance(run.learner, Classifier)
    return run.learner
