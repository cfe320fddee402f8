"""Degrees, strengths and pictures against matrices."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sparse_agents.measures import connectivity, degrees, input_strength
from sparse_agents.topology import Edges, random_edges

MASK = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
WEIGHT = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0])


def test_by_hand() -> None:
    edges = Edges.from_mask(MASK)
    into, out = degrees(edges)
    assert into.tolist() == [3, 0, 2]
    assert out.tolist() == [2, 1, 1, 1]
    assert input_strength(edges, WEIGHT).tolist() == [5, 5, 2, 3]
    assert connectivity(edges, WEIGHT).tolist() == [[1, 0, 2, 3], [0, 0, 0, 0], [4, 5, 0, 0]]


@pytest.mark.parametrize("shape", [(64, 96), (33, 7), (1, 40), (300, 300)])
def test_a_picture_of_blocks_is_the_matrix_averaged(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    edges = random_edges(shape, shape[0] * shape[1] // 5, generator)
    weight = torch.randn(edges.nnz, generator=generator)
    found = connectivity(edges, weight, size=32)
    dense = edges.dense(weight).abs().double()
    assert found.shape == (min(shape[0], 32), min(shape[1], 32))
    if all(side % 32 == 0 or side <= 32 for side in shape):
        torch.testing.assert_close(found, F.adaptive_avg_pool2d(dense[None, None], found.shape)[0, 0])
    rows, columns = ([i * size // side for i in range(side)] for side, size in zip(shape, found.shape, strict=True))
    for i, j in ((0, 0), (found.shape[0] - 1, found.shape[1] - 1), (found.shape[0] // 2, found.shape[1] // 2)):
        block = dense[[k for k, r in enumerate(rows) if r == i]][:, [k for k, c in enumerate(columns) if c == j]]
        assert float(found[i, j]) == pytest.approx(float(block.mean()))
