"""The memory of what has gone by, and what is made of it."""

from __future__ import annotations

from collections import Counter

import torch
from sequence_helpers import learner_and_method
from torch.nn import functional as F

from sparse_agents.continual.methods.derpp import DERpp
from sparse_agents.continual.methods.er import ER
from sparse_agents.continual.methods.reservoir import Reservoir


def test_every_row_is_kept_with_the_same_probability() -> None:
    """50 runs of 40 rows, 10 kept: each row is expected 12.5 times, with a standard deviation of 3.06."""
    counts: Counter[int] = Counter()
    for seed in range(50):
        memory = Reservoir(10, torch.Generator().manual_seed(seed))
        for start in range(0, 40, 8):
            memory.add(torch.arange(start, start + 8), torch.arange(start, start + 8) * 2.0)
        rows, doubles = memory.draw(10)
        assert len(set(rows.tolist())) == 10
        assert torch.equal(rows * 2.0, doubles)
        counts.update(rows.tolist())
    assert set(counts) == set(range(40))
    assert sum((count - 12.5) ** 2 for count in counts.values()) / 40 < 2 * 3.06**2
    early, late = (sum(counts[row] for row in rows) for rows in (range(20), range(20, 40)))
    assert abs(early - late) < 80


def test_a_memory_that_is_not_full_gives_what_it_has() -> None:
    memory = Reservoir(10, torch.Generator())
    memory.add(torch.arange(3))
    assert len(memory) == 3
    assert sorted(memory.draw(5)[0].tolist()) == [0, 1, 2]


def test_a_memory_is_the_same_after_it_was_saved() -> None:
    one, other = (Reservoir(4, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    one.add(torch.arange(9))
    other.restore(one.state())
    other._generator.set_state(one._generator.get_state())
    for memory in (one, other):
        memory.add(torch.arange(9, 20))
    assert len(one) == len(other) == 4
    assert torch.equal(one.state()["columns"][0], other.state()["columns"][0])
    assert one.seen == other.seen == 20


def test_dark_experience_replay_adds_what_was_said_and_what_is_right() -> None:
    learner, method = learner_and_method("der++", alpha=0.3, beta=0.7, memory=3)
    assert isinstance(method, DERpp)
    method.begin_task(0)
    generator = torch.Generator().manual_seed(1)
    first, labels = torch.randn(3, 12, generator=generator), torch.tensor([0, 1, 0])
    then = learner.module(first).detach()
    alone = method.loss(first, labels)
    assert torch.allclose(alone, F.cross_entropy(learner.module(first), labels))
    with torch.no_grad():
        for parameter in learner.module.parameters():
            parameter.mul_(1.5)
    inputs, others = torch.randn(5, 12, generator=generator), torch.tensor([1, 1, 0, 0, 1])
    expected = F.cross_entropy(learner.module(inputs), others)
    now = learner.module(first)
    expected = expected + 0.3 * ((now - then) ** 2).mean() + 0.7 * F.cross_entropy(now, labels)
    assert torch.allclose(method.loss(inputs, others), expected)


def test_experience_replay_joins_earlier_samples_to_the_minibatch() -> None:
    learner, method = learner_and_method("er", memory=3)
    assert isinstance(method, ER)
    method.begin_task(0)
    first, labels = torch.randn(3, 12), torch.tensor([0, 1, 0])
    assert torch.allclose(method.loss(first, labels), F.cross_entropy(learner.module(first), labels))
    method.end_task()
    method.begin_task(1)
    inputs, others = torch.randn(5, 12), torch.tensor([2, 3, 2, 2, 3])
    together = F.cross_entropy(learner.module(torch.cat([inputs, first])), torch.cat([others, labels]))
    assert torch.allclose(method.loss(inputs, others), together)
