"""What the benchmark of rewiring and of wide networks measures, here on the processor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sparse_agents.benchmark.cuda_scale import PROCESSOR, cuda_million, cuda_rewiring
from sparse_agents.experiments.gene_expression import planted
from sparse_agents.experiments.set_mlp import Size

SIZE = Size(hidden=(60, 50), epsilon=4, epochs=2, batch=32, learning_rate=0.05)


def test_an_update_of_each_rule() -> None:
    records = list(cuda_rewiring(size=64, batch=8, updates=3, device="cpu"))
    assert [record.case for record in records] == [
        f"topology update by {rule}, layer 64x64, CPU" for rule in ("set", "rigl")
    ]
    assert {record.baseline for record in records} == {PROCESSOR}


def test_a_wide_network_learns() -> None:
    data = planted(samples=90, genes=500, classes=3)
    (record,) = cuda_million(SIZE, data, device="cpu")
    assert record.case.startswith("minibatch of 613 neurons, ")
    assert record.sparsity == SIZE.sparsity(500, 3)
    assert record.seconds > 0


def test_one_that_does_not_learn_is_no_figure() -> None:
    data = planted(samples=90, genes=500, classes=3)
    with pytest.raises(RuntimeError, match="The loss of 613 neurons went from"):
        list(cuda_million(replace(SIZE, learning_rate=1e3), data, device="cpu"))
