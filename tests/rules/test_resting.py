"""Weights outside the connections, against a matrix that holds all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparse_agents.rules import resting as module
from sparse_agents.rules.resting import Resting
from sparse_agents.topology import Edges, random_edges


def everything(resting: Resting, size: int) -> Tensor:
    return resting.initial(torch.arange(size))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(4))
def test_a_long_exchange_keeps_the_largest_of_all(
    seed: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights shrink and grow; at every exchange what is kept are the largest of a dense matrix that did the same."""
    monkeypatch.setattr(module, "TILE_ELEMENTS", 64)
    generator = torch.Generator().manual_seed(seed)
    shape, size, nnz = (30, 20), 600, 60
    edges = random_edges(shape, nnz, generator)
    weight = (torch.rand(nnz, generator=generator, dtype=dtype) + 0.5) * torch.randn(nnz, generator=generator).sign()
    resting = Resting.below(weight, generator)
    theta = everything(resting, size)
    moved = 0
    for _ in range(40):
        weight = weight * (0.3 + torch.rand(nnz, generator=generator, dtype=dtype))
        theta[edges.ids] = weight
        count, resting = resting.larger_than(weight, edges)
        at = resting.largest(count)
        come = resting.ids[at]
        assert torch.equal(theta[come], resting.values[at])
        assert bool((come.diff() > 0).all())
        order = weight.abs().argsort(stable=True)
        gone, stay = order[:count].sort().values, order[count:]
        resting = resting.exchange(at, edges.ids[gone], weight[gone])
        ids = torch.cat([edges.ids[stay], come]).sort().values
        largest = theta.abs().sort(descending=True).values[:nnz]
        assert torch.equal(theta[ids].abs().sort(descending=True).values, largest)
        edges, weight = Edges.from_ids(ids, shape), theta[ids]
        moved += count
    assert moved > 5 * nnz


def test_of_equal_weights_the_connections_stay() -> None:
    edges = Edges.from_ids(torch.tensor([0, 1]), (1, 4))
    none = torch.tensor(0.0, dtype=torch.float64)
    resting = Resting(torch.tensor([2, 3]), torch.tensor([-0.3, 0.1]), none, none, torch.tensor(0))
    assert resting.larger_than(torch.tensor([0.3, 0.5]), edges)[0] == 0
    assert resting.larger_than(torch.tensor([0.2, 0.5]), edges)[0] == 1


def test_initial_values_are_uniform_below_the_ceiling() -> None:
    resting = Resting.below(torch.tensor([0.5, -0.2]), torch.Generator().manual_seed(0))
    values = everything(resting, 100_000) / 0.2
    assert values.abs().max() <= 1
    histogram = torch.histc(values, 10, -1, 1) / len(values)
    assert (histogram - 0.1).abs().max() < 0.005


def test_only_the_largest_are_looked_up() -> None:
    edges = random_edges((300, 300), 900, torch.Generator().manual_seed(0))
    weight = torch.full((900,), 0.1)
    _count, resting = Resting.below(weight, torch.Generator().manual_seed(0)).larger_than(weight * 0.99, edges)
    assert 0 < len(resting.ids) < 1100
