"""Launches fit what they are for."""

from __future__ import annotations

import itertools

import pytest

from sparse_agents.ops.cuda import Processor, row_geometry
from sparse_agents.ops.cuda.geometry import (
    COLUMNS,
    ENTRIES,
    LANES,
    MOST_THREADS,
    STAGES,
    THREADS,
    chain_geometry,
    fits_a_block,
    part_of_tiles,
    shared_room,
    tiles_of,
)

H200 = Processor(132, 232448)


@pytest.mark.parametrize(
    ("rows", "held", "features", "batch", "block"),
    [*itertools.product((1, 17, 4096), (0, 1, 63, 480, 4096), (3, 4096, 60_000), (1, 1024), (1, 4, 8))],
)
def test_every_connection_and_sample_has_its_place(rows: int, held: int, features: int, batch: int, block: int) -> None:
    g = row_geometry(rows, held, features, batch, H200, block)
    assert dict(g.defines)["SA_BLOCK"] == block
    assert g.lanes in LANES
    assert g.entries in ENTRIES[block]
    assert g.lanes * g.entries >= min(held, LANES[-1] * ENTRIES[block][-1])
    assert g.blocks * g.threads >= rows * g.lanes
    assert g.threads <= MOST_THREADS[block]
    assert g.threads % 32 == 0
    assert (g.splits - 1) * g.tiles_each < tiles_of(batch) <= g.splits * g.tiles_each
    assert g.shared_bytes == g.stages * min(g.part, features) * COLUMNS * 4
    assert g.shared_bytes <= H200.shared_bytes


def test_large_layers_by_hand() -> None:
    """4096 x 4096 at 95%: rows of 205 connections, the longest about 260; 2048 features of a tile take 64 KB."""
    g = row_geometry(4096, 260, 4096, 1024, H200)
    assert (g.lanes, g.entries) == (16, 24)
    assert (g.threads, g.blocks, g.splits, g.tiles_each) == (512, 128, 1, 128)
    assert (g.stages, g.part, g.shared_bytes) == (3, 2048, 196608)


def test_a_small_layer_splits_the_batch_over_idle_multiprocessors() -> None:
    g = row_geometry(256, 40, 256, 256, H200)
    assert (g.lanes, g.entries, g.blocks) == (4, 16, 2)
    assert (g.splits, g.tiles_each) == (32, 1)


@pytest.mark.parametrize(("rows", "held", "features", "block"), [(1024, 410, 4096, 4), (16384, 1790, 16384, 1)])
def test_rows_of_several_passes_are_read_from_where_they_are(rows: int, held: int, features: int, block: int) -> None:
    """4096 x 4096 at 90% in blocks of 4, four passes of 16 rows each; 16384 x 16384 at 90%, two of them. A pass would
    copy all features, more than the block has connections.
    """
    g = row_geometry(rows, held, features, 1024, H200, block)
    passes = -(-held // (g.lanes * g.entries))
    assert passes > 1
    assert features < g.threads // g.lanes * held < passes * features
    assert g.stages == 0


def test_what_is_hardly_read_twice_is_read_from_where_it_is() -> None:
    """128 rows of 32 connections to 4096 features go together, 4 lanes for each."""
    assert row_geometry(4096, 33, 4096, 8, H200).stages == STAGES
    g = row_geometry(4096, 32, 4096, 8, H200)
    assert (g.stages, g.shared_bytes) == (0, 0)
    assert dict(g.defines)["SA_STAGES"] == 0
    assert row_geometry(1, 256, 256, 256, H200).stages == 0


@pytest.mark.parametrize(
    ("kilobytes", "part"), [(227, 2048), (192, 2048), (191, 1024), (163, 1024), (99, 1024), (95, 512), (4, 32)]
)
def test_parts_of_tiles(kilobytes: int, part: int) -> None:
    assert part_of_tiles(Processor(1, 1024 * kilobytes)) == part


def test_networks_of_agents_fit_a_block() -> None:
    """DS-TD3's: 17-256-256-6 at 90% has 7,142 connections; two layers of 256 features take 16 KB, sums 4, its
    connections 84, and the activations of 535 features 17.
    """
    heights = [17, 256, 256, 6]
    assert fits_a_block(heights, 7142, H200)
    g = chain_geometry(heights, 256, H200)
    assert (g.blocks, g.threads) == (32, 512)
    assert g.lanes_up == (2, 2, 32)
    assert g.lanes_down == (16, 2, 2)
    room = shared_room(256, 535, 7142, H200)
    assert (room.staged, room.kept) == (7142, 535 * 8)
    assert (room.bytes(0), room.bytes(room.kept)) == (20480 + 85704, 20480 + 85704 + 17120)


@pytest.mark.parametrize(
    ("heights", "connections"),
    [([3569, 10], 100), ([10, 3569, 10], 100), ([5] * 10, 100), ([256, 256], (1 << 16) + 1)],
    ids=["wide input", "wide layer", "many layers", "many connections"],
)
def test_larger_ones_do_not(heights: list[int], connections: int) -> None:
    assert not fits_a_block(heights, connections, H200)


@pytest.mark.parametrize("free", [0, 11, 1199, 1200, 3839, 3840, 5039, 5040])
def test_connections_have_room_before_activations(free: int) -> None:
    """A hundred connections take 1,200 bytes, 120 features 3,840."""
    room = shared_room(60, 120, 100, Processor(1, 4096 + 2 * 60 * 32 + free))
    assert room.staged == (100 if free >= 1200 else 0)
    assert room.kept == (960 if free >= 5040 else 0)
    assert room.bytes(room.kept) <= 4096 + 2 * 60 * 32 + free


@pytest.mark.parametrize("height", [1, 3, 15, 16, 17, 256, 511, 512, 3000])
@pytest.mark.parametrize("batch", [1, 100, 100_000])
def test_every_row_of_a_small_network_has_threads(height: int, batch: int) -> None:
    g = chain_geometry([height, 7, height], batch, H200)
    for lanes, rows in ((g.lanes_down[0], height), (g.lanes_up[0], 7)):
        assert lanes in (1, 2, 4, 8, 16, 32)
        assert lanes == 32 or lanes == 1 or THREADS // 2 < lanes * rows <= THREADS
    assert 1 <= g.blocks <= min(tiles_of(batch), 2 * H200.multiprocessors)
