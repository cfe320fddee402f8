"""Launches fit what they are for."""

from __future__ import annotations

import itertools

import pytest

from sparse_agents.ops.cuda import Processor, row_geometry
from sparse_agents.ops.cuda.geometry import COLUMNS, LANES, MOST_ENTRIES, THREADS, tiles_of

H200 = Processor(132, 232448)


@pytest.mark.parametrize(
    ("rows", "longest", "features", "batch"),
    [*itertools.product((1, 17, 256, 4096), (0, 1, 63, 480, 4096), (3, 256, 4096, 60_000), (1, 100, 1024))],
)
def test_every_connection_and_sample_has_its_place(rows: int, longest: int, features: int, batch: int) -> None:
    g = row_geometry(rows, longest, features, batch, H200)
    assert g.lanes in LANES
    assert g.entries <= MOST_ENTRIES
    assert g.lanes * g.entries * g.passes >= longest
    assert g.blocks * g.threads >= rows * g.lanes
    assert g.threads <= THREADS
    assert g.threads % 32 == 0
    assert (g.splits - 1) * g.tiles_each < tiles_of(batch) <= g.splits * g.tiles_each
    assert g.shared_bytes in (0, features * COLUMNS * 4)
    assert g.shared_bytes <= H200.shared_bytes


def test_large_layers_by_hand() -> None:
    """4096 x 4096 at 95%: rows of 205 connections, the longest about 260; a tile of 4096 features takes 128 KB."""
    g = row_geometry(4096, 260, 4096, 1024, H200)
    assert (g.lanes, g.entries, g.passes) == (32, 16, 1)
    assert (g.threads, g.blocks, g.splits, g.tiles_each) == (512, 256, 1, 128)
    assert g.shared_bytes == 131072


def test_a_small_layer_splits_the_batch_over_idle_multiprocessors() -> None:
    g = row_geometry(256, 40, 256, 256, H200)
    assert (g.lanes, g.entries, g.blocks) == (4, 16, 2)
    assert (g.splits, g.tiles_each) == (32, 1)


def test_what_does_not_fit_into_shared_memory_is_read_from_where_it_is() -> None:
    assert row_geometry(10, 10, 232448 // 32, 8, H200).shared_bytes == 232448
    assert row_geometry(10, 10, 232448 // 32 + 1, 8, H200).shared_bytes == 0
    assert dict(row_geometry(10, 10, 9999, 8, H200).defines)["SA_SLAB"] == 0
