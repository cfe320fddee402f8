"""Random positions: how many, which ones, and that none is likelier than another."""

from __future__ import annotations

from collections import Counter
from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparse_agents.topology import distinct, random_edges, random_free, random_in_groups, sampling


def source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.data(), st.integers(0, 3000), st.integers(0, 2**40))
def test_distinct_draws_exactly_so_many_different_ones_in_order(data: st.DataObject, high: int, seed: int) -> None:
    count = data.draw(st.integers(0, high))
    drawn = distinct(high, count, source(seed))
    assert drawn.dtype == torch.int64
    assert drawn.shape == (count,)
    assert bool((drawn.diff() > 0).all())
    assert all(0 <= value < high for value in drawn.tolist())


@given(st.integers(10**9, 10**12), st.integers(1, 2000))
def test_distinct_out_of_a_range_too_large_to_list(high: int, count: int) -> None:
    drawn = distinct(high, count, source(count)).tolist()
    assert len(set(drawn)) == count
    assert min(drawn) >= 0
    assert max(drawn) < high


def test_distinct_reaches_both_ends_of_a_large_range() -> None:
    """That 1000 of 4096 all miss the last 50, or the first, happens once in 200 000 times."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        drawn = distinct(4096, 1000, generator)
        assert drawn[0] < 50
        assert drawn[-1] >= 4096 - 50


@pytest.mark.parametrize(("high", "count"), [(5, 6), (0, 1), (5, -1)])
def test_distinct_refuses_what_cannot_be(high: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} distinct integers out of {high}"):
        distinct(high, count, source(0))


def test_distinct_repeats_with_its_generator() -> None:
    assert torch.equal(distinct(1000, 100, source(7)), distinct(1000, 100, source(7)))
    assert not torch.equal(distinct(1000, 100, source(7)), distinct(1000, 100, source(8)))


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    distinct(100, 10, source(0))
    random_free(torch.tensor([1, 2]), 100, 50, source(0))
    assert torch.equal(before, torch.get_rng_state())


def chi_square(draws: list[Tensor], cells: int) -> float:
    """Of the frequencies of whole sets, under the hypothesis that all are equally likely."""
    counts = Counter(tuple(draw.tolist()) for draw in draws)
    expected = len(draws) / cells
    return sum((n - expected) ** 2 / expected for n in counts.values()) + (cells - len(counts)) * expected


# Five standard deviations above the mean of a chi-square variable with cells - 1 degrees of freedom.
def limit(cells: int) -> float:
    return cells - 1 + 5 * (2 * (cells - 1)) ** 0.5


@pytest.mark.parametrize(("high", "count"), [(10, 3), (10, 5), (25, 2), (7, 6)])
def test_every_set_is_equally_likely(high: int, count: int) -> None:
    generator = source(3)
    cells = comb(high, count)
    draws = [distinct(high, count, generator) for _ in range(20 * cells)]
    assert chi_square(draws, cells) < limit(cells)


@pytest.mark.parametrize(("taken", "size", "count"), [([0, 3, 4, 9], 14, 3), ([1, 2, 12], 13, 6), ([], 12, 3)])
def test_every_set_of_free_positions_is_equally_likely(taken: list[int], size: int, count: int) -> None:
    generator = source(4)
    cells = comb(size - len(taken), count)
    occupied = torch.tensor(taken, dtype=torch.int64)
    draws = [random_free(occupied, size, count, generator) for _ in range(20 * cells)]
    assert chi_square(draws, cells) < limit(cells)


@given(st.data(), st.integers(1, 400), st.integers(0, 2**32))
def test_random_free_takes_only_what_is_free(data: st.DataObject, size: int, seed: int) -> None:
    taken = sorted(data.draw(st.sets(st.integers(0, size - 1))))
    count = data.draw(st.integers(0, size - len(taken)))
    drawn = random_free(torch.tensor(taken, dtype=torch.int64), size, count, source(seed))
    assert drawn.dtype == torch.int64
    assert bool((drawn.diff() > 0).all())
    assert len(drawn) == count
    assert set(drawn.tolist()) <= set(range(size)) - set(taken)


def test_random_free_can_take_everything() -> None:
    drawn = random_free(torch.tensor([0, 2, 5]), 7, 4, source(0))
    assert drawn.tolist() == [1, 3, 4, 6]
    with pytest.raises(ValueError, match="5 distinct integers out of 4"):
        random_free(torch.tensor([0, 2, 5]), 7, 5, source(0))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32))
def test_random_edges_have_the_number_of_connections_asked_for(rows: int, cols: int, density: float, seed: int) -> None:
    nnz = int(density * rows * cols)
    edges = random_edges((rows, cols), nnz, source(seed))
    assert edges.nnz == nnz
    assert edges.shape == (rows, cols)
    assert int(edges.mask().sum()) == nnz


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 99))
def test_groups_get_exactly_their_counts(counts: list[int], seed: int) -> None:
    drawn = random_in_groups(torch.tensor(counts), 6, torch.Generator().manual_seed(seed))
    assert torch.bincount(drawn // 6, minlength=len(counts)).tolist() == counts
    assert bool((drawn.diff() > 0).all())


def test_groups_are_drawn_uniformly() -> None:
    drawn = random_in_groups(torch.full((6000,), 2), 4, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn % 4, minlength=4) / 6000
    assert (share - 0.5).abs().max() < 0.03


def test_chunks_of_groups_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "CHUNK_ELEMENTS", 12)
    drawn = random_in_groups(torch.full((7,), 3), 4, torch.Generator().manual_seed(0))
    assert torch.bincount(drawn // 4, minlength=7).tolist() == [3] * 7
