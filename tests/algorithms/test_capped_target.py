"""Against the reference rule on dense matrices, written out independently."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparse_agents.algorithms.capped_target import average
from sparse_agents.topology import Edges


def reference(online: Tensor, target: Tensor, tau: float) -> Tensor:
    """Polyak on dense matrices; if more entries than online's are non-zero, the smallest of them go."""
    result = tau * online + (1 - tau) * target
    surplus = int((result != 0).sum()) - int((online != 0).sum())
    if surplus > 0:
        flat = result.flatten()
        nonzero = flat.nonzero().flatten()
        smallest = nonzero[flat[nonzero].abs().argsort(stable=True)[:surplus]]
        flat[smallest] = 0
        result = flat.view_as(result)
    return result


@pytest.mark.parametrize("zeros", [0, 3])
def test_equals_the_dense_reference_over_many_updates(zeros: int) -> None:
    """Online connections jump; the target fades the old ones out under the cap."""
    generator = torch.Generator().manual_seed(0)
    shape = (9, 7)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.4
    target *= mask
    edges, values = Edges.from_mask(mask), target[mask]
    for step in range(60):
        if step % 10 == 0:
            online_mask = torch.zeros(63, dtype=torch.bool)
            online_mask[torch.randperm(63, generator=generator)[: int(mask.sum())]] = True
            online_mask = online_mask.view(shape)
        weight = torch.randn(int(mask.sum()), generator=generator, dtype=torch.float64)
        weight[:zeros] = 0.0  # just grown
        online = Edges.from_mask(online_mask)
        target = reference(online.dense(weight), target, 0.05)
        edges, values = average(online, weight, edges, values, 0.05)
        assert edges.nnz == online.nnz
        assert (edges.dense(values) - target).abs().max() < 1e-12


def test_same_connections_average_slot_by_slot() -> None:
    edges = Edges.from_mask(torch.tensor([[1, 0, 1], [0, 1, 0]], dtype=torch.bool))
    new, values = average(edges, torch.tensor([1.0, 2.0, 3.0]), edges, torch.tensor([0.0, 0.0, 1.0]), 0.5)
    assert new is edges
    assert values.tolist() == [0.5, 1.0, 2.0]
