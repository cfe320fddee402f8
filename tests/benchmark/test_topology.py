"""The cost of updates is measured, not made up."""

from __future__ import annotations

import torch

from sparse_agents.benchmark import update_memory, update_times
from sparse_agents.rules import RULES


def test_times_of_rules_of_every_kind() -> None:
    """Dynamic, at every step, once, and on the way from dense."""
    found = {r.rule: r for r in update_times(16, updates=1, rules=("set", "snfs", "snip", "gmp"))}
    assert list(found) == ["set", "snfs", "snip", "gmp"]
    for record in found.values():
        assert record.case == "16-16"
        assert 0 < record.step_seconds < 1
    assert found["snip"].share == 0
    assert found["gmp"].ramps
    assert found["snfs"].every_step


def test_a_dense_gradient_at_every_step_costs_something() -> None:
    """In networks so wide that it shows on a busy machine."""
    (record,) = update_times(256, updates=1, rules=("snfs",))
    assert record.every_step
    assert record.step_seconds > record.static_seconds


def test_memory_is_that_of_the_connections() -> None:
    """A layer of 4096 by 4096 would take 64 MiB; 16777 connections take a few, whatever the parent's peak is."""
    torch.ones(2**28).sum()
    (record,) = update_memory(4096, 0.999, rules=("rigl",))
    assert record.dense == 64 * 2**20
    assert 2**20 < record.update <= record.peak < record.dense
    assert record.seconds > 0


def test_every_dynamic_sparse_rule_is_measured() -> None:
    from sparse_agents.benchmark.topology import _fits

    measured = {name for name in RULES if _fits(name)}
    assert {"set", "rigl", "cht", "ctre", "srigl", "nm", "topkast", "dsr", "deepr", "mest", "rlx2"} == measured
