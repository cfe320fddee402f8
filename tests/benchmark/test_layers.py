"""Paths of computation are compared on the same layer."""

from __future__ import annotations

from sparse_agents.benchmark import convolutions, crossovers, lstms
from sparse_agents.ops import backend_info, supported_isas


def test_convolutions_and_lstms_are_compared_with_torchs() -> None:
    records = [*convolutions(batch=1, sparsities=(0.9,)), *lstms(widths=(4,), inputs=3, sparsities=(0.5,))]
    assert {(r.contender, r.baseline) for r in records} == {
        ("SparseConv2d", "nn.Conv2d"),
        ("images unfolded", "nn.Conv2d"),
        ("by connections", "nn.LSTM"),
        ("matrices filled in", "nn.LSTM"),
    }
    assert len({(r.case, r.batch) for r in records}) == 3 + 5
    assert all(0 < r.seconds < 1 for r in records)


def test_crossovers_are_found_for_every_instruction_set() -> None:
    before = backend_info().isa
    entries = list(crossovers(widths=(8,), batches=(4,)))
    assert [entry.isa for entry in entries] == list(supported_isas())
    assert all(0 < entry.density < 1 for entry in entries)
    assert backend_info().isa == before
