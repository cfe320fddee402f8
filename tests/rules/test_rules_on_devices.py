"""Rules where weights are not in the processor's memory."""

from __future__ import annotations

from typing import Any

import pretended
import pytest
import torch
from training_run import Run

from sparse_agents.rules import RULES


def assert_alike(**settings: Any) -> None:
    """Trained on a device and on the processor."""
    with pretended.Device(), pretended.drawing_as_the_processor():
        there = Run(**settings, device=str(pretended.DEVICE)).train(12)
    here = Run(**settings).train(12)
    for one, other in zip(there.layers.values(), here.layers.values(), strict=True):
        assert one.topology.row_ptr.held.equal(other.topology.row_ptr)
        assert one.topology.col.held.equal(other.topology.col)
        torch.testing.assert_close(one.weight.held, other.weight.data)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_does_on_a_device_what_it_does_on_the_processor(rule: str) -> None:
    """And asks for nothing that is elsewhere."""
    assert_alike(rule=rule)


CASES = {
    "blocks": {"rule": "set", "options": {"block_size": 2}},
    "blocks by gradient": {"rule": "rigl", "options": {"block_size": (2, 4)}},
    "dense head": {"rule": "rigl", "dense": ("4",)},
    "float32": {"rule": "set", "dtype": torch.float32},
    "no gradients looked at": {"rule": "nm", "options": {"growth": "random"}},
    "sequential": {"rule": "ctre", "options": {"variant": "seq"}},
    "itop": {"rule": "set", "options": {"schedule": "itop"}},
}


@pytest.mark.parametrize("case", CASES)
def test_options_too(case: str) -> None:
    assert_alike(**CASES[case])
