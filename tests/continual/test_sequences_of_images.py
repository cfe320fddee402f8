"""Sequences that are made of one data set."""

from __future__ import annotations

import pytest
import torch

from sparse_agents.continual.supervised.sequences import ANGLES, SEQUENCES, classification_sequence
from sparse_agents.continual.supervised.tasks import Samples, permuted, split, turned
from sparse_agents.errors import ConfigurationError

DIGITS = [name for name in SEQUENCES if name.endswith("-digits")]


def samples(count: int = 12, features: int = 9) -> Samples:
    generator = torch.Generator().manual_seed(0)
    return Samples(torch.rand(count, features, generator=generator), torch.arange(count) % 6)


def test_split_takes_classes_in_order() -> None:
    sequence = split("s", samples(), samples(6), classes_per_task=2)
    assert [task.classes for task in sequence.tasks] == [(0, 1), (2, 3), (4, 5)]
    assert sequence.disjoint
    for task in sequence.tasks:
        assert set(task.train.labels.tolist()) == set(task.test.labels.tolist()) == set(task.classes)
    together = torch.cat([task.train.inputs for task in sequence.tasks])
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, samples().inputs.tolist()))


def test_permuted_tasks_have_one_order_each() -> None:
    one = samples()
    sequence = permuted("p", one, one, tasks=3)
    assert not sequence.disjoint
    assert torch.equal(sequence.tasks[0].train.inputs, one.inputs)
    for task in sequence.tasks[1:]:
        order = [one.inputs[0].tolist().index(value) for value in task.train.inputs[0].tolist()]
        assert sorted(order) == list(range(9))
        assert order != list(range(9))
        assert torch.equal(task.train.inputs, one.inputs[:, order])
        assert torch.equal(task.test.inputs, task.train.inputs)
    assert not torch.equal(sequence.tasks[1].train.inputs, sequence.tasks[2].train.inputs)


@pytest.mark.parametrize(("degrees", "quarters"), [(0, 0), (90, 1), (180, 2), (270, 3)])
def test_a_quarter_turn_is_exact_and_anticlockwise(degrees: float, quarters: int) -> None:
    image = torch.arange(16.0).view(1, 4, 4)
    expected = torch.rot90(image, quarters, dims=(1, 2))
    assert torch.allclose(turned(image.view(1, 16), degrees, (4, 4)).view(1, 4, 4), expected, atol=1e-4)


def test_a_turn_of_an_oblong_image_keeps_lengths() -> None:
    """A bar of three pixels, upright in the middle of 5 rows and 9 columns, lies down."""
    image = torch.zeros(5, 9)
    image[1:4, 4] = 1.0
    lying = turned(image.view(1, -1), 90.0, (5, 9)).view(5, 9)
    expected = torch.zeros(5, 9)
    expected[2, 3:6] = 1.0
    assert torch.allclose(lying, expected, atol=1e-4)


@pytest.mark.parametrize("name", DIGITS)
def test_sequences_of_digits(name: str) -> None:
    sequence = classification_sequence(name)
    assert (sequence.inputs, sequence.classes, len(sequence.tasks)) == (64, 10, 5)
    count = sum(len(task.train.labels) + len(task.test.labels) for task in sequence.tasks)
    assert count == (1797 if name.startswith("split") else 5 * 1797)
    if name.startswith("rotated"):
        assert [task.name for task in sequence.tasks] == [f"{angle:g}°" for angle in ANGLES]
    everything = torch.cat([task.train.inputs for task in sequence.tasks])
    if name.startswith("split"):
        assert abs(float(everything.mean())) < 1e-5
        assert float(everything.std()) == pytest.approx(1, abs=1e-5)


def test_an_unknown_sequence_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown sequence .split-digit.\. Did you mean .split-digits."):
        classification_sequence("split-digit")
