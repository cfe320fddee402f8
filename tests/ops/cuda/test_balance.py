"""Neighbouring threads read from different banks of shared memory."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_agents.ops.cuda import balance
from sparse_agents.topology import Edges


def wavefronts(edges: Edges, order: torch.Tensor, lanes: int = 32) -> float:
    """How often shared memory is asked, on average, for a read of eight threads that could be served at once.

    Counted bank by bank: four threads read the first 16 bytes of the 32 of their features, four the second.
    """
    asked = []
    for row in range(edges.shape[0]):
        begin, end = int(edges.row_ptr[row]), int(edges.row_ptr[row + 1])
        features = edges.col[order][begin:end].tolist()
        for first in range(0, len(features), lanes):
            step = features[first : first + lanes]
            for eight in range(0, len(step), 8):
                banks: dict[int, set[int]] = {}
                for thread, feature in enumerate(step[eight : eight + 8]):
                    group = (feature * 2 + (thread >> 2 & 1)) % 8
                    banks.setdefault(group, set()).add(feature)
                asked.append(max(len(found) for found in banks.values()))
    return sum(asked) / len(asked)


@given(st.integers(1, 12), st.integers(1, 20), st.floats(0, 1), st.integers(0, 5))
def test_rows_keep_their_connections(rows: int, cols: int, density: float, seed: int) -> None:
    edges = Edges.from_mask(torch.rand(rows, cols, generator=torch.Generator().manual_seed(seed)) < density)
    order = balance(edges.row_ptr, edges.col, cols)
    assert torch.equal(order.sort()[0], torch.arange(edges.nnz))
    assert torch.equal(edges.row[order], edges.row)


def test_dealt_out_by_hand() -> None:
    edges = Edges.from_mask(torch.tensor([[1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1]], dtype=torch.bool))
    assert edges.col.tolist() == [0, 1, 3, 4, 5, 8, 10, 11]
    assert edges.col[balance(edges.row_ptr, edges.col, 12)].tolist() == [0, 1, 10, 3, 4, 5, 11, 8]


def test_fewer_reads_wait_for_each_other() -> None:
    mask = torch.rand(20, 1024, generator=torch.Generator().manual_seed(0)) < 0.4
    edges = Edges.from_mask(mask)
    assert wavefronts(edges, torch.randperm(edges.nnz)[torch.argsort(edges.row[torch.randperm(edges.nnz)])]) > 1.5
    assert wavefronts(edges, torch.arange(edges.nnz)) > 1.9
    assert wavefronts(edges, balance(edges.row_ptr, edges.col, 1024)) < 1.2


@given(st.integers(0, 5), st.sampled_from([1, 3, 4]))
def test_parts_of_wide_layers_come_one_after_the_other(seed: int, rows: int) -> None:
    mask = torch.rand(rows, 2500, generator=torch.Generator().manual_seed(seed)) < 0.3
    mask[0, 1024:2048] = False
    edges = Edges.from_mask(mask)
    order = balance(edges.row_ptr, edges.col, 2500)
    assert torch.equal(edges.row[order], edges.row)
    parts = edges.col[order] // 1024
    assert torch.equal(parts, edges.col // 1024)
    last = (edges.row == rows - 1) & (parts == 2)
    alone = Edges.from_mask(mask[-1:, 2048:])
    assert torch.equal(edges.col[order][last] - 2048, alone.col[balance(alone.row_ptr, alone.col, 452)])


def test_few_connections_of_wide_layers_stay_as_they_are() -> None:
    edges = Edges.from_mask(torch.arange(1025) % 150 == torch.arange(3).unsqueeze(1))
    assert balance(edges.row_ptr, edges.col, 1025).tolist() == list(range(edges.nnz))
    assert edges.nnz == 21
