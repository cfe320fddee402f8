"""Distances between topologies, by hand and by trying every assignment."""

from __future__ import annotations

import itertools

import pytest
import torch

from sparse_agents.measures import Exploration, overlap, topology_distance
from sparse_agents.topology import Edges, random_edges


def edges(*rows: str) -> Edges:
    return Edges.from_mask(torch.tensor([[c == "1" for c in row] for row in rows]))


def test_by_hand() -> None:
    """First layer: row 110 is there as well, and 011 against 010 differs in one of two. The second layer's inputs then
    change places, so that 10 is 01."""
    first = [edges("110", "011"), edges("10", "11")]
    second = [edges("010", "110"), edges("01", "11")]
    assert topology_distance(first, second) == [pytest.approx(0.25), 0]
    assert topology_distance(first, first) == [0, 0]
    assert topology_distance([edges("10", "00")], [edges("01", "00")]) == [pytest.approx(0.5)]


def test_units_that_change_places_are_no_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [random_edges(shape, 40, generator) for shape in ((16, 10), (12, 16), (5, 12))]
    moved, columns = [], torch.arange(10)
    for layer in layers:
        rows = torch.randperm(layer.shape[0], generator=generator)
        moved.append(Edges.from_mask(layer.mask()[rows][:, columns]))
        columns = rows
    assert topology_distance(layers, moved) == [0, 0, 0]


def test_the_best_of_all_assignments() -> None:
    generator = torch.Generator().manual_seed(1)
    one, other = (random_edges((5, 9), 18, generator) for _ in range(2))
    sets = [[set(row.nonzero().flatten().tolist()) for row in layer.mask()] for layer in (one, other)]

    def cost(order: tuple[int, ...]) -> float:
        pairs = zip(sets[0], (sets[1][i] for i in order), strict=True)
        return sum(len(a ^ b) / max(len(a | b), 1) for a, b in pairs) / 5

    best = min(map(cost, itertools.permutations(range(5))))
    assert topology_distance([one], [other]) == [pytest.approx(best)]


def test_exploration_is_the_union_of_all_topologies() -> None:
    exploration = Exploration(edges("11000"))
    assert exploration.rate == 0.4
    for later in ("01100", "11000"):
        exploration.add(edges(later))
    assert exploration.rate == pytest.approx(0.6)


def test_overlap_by_hand() -> None:
    assert overlap(edges("0111", "1000"), edges("1110", "1000").ids) == 0.75
    assert overlap(edges("0111"), edges("0000").ids) == 1
