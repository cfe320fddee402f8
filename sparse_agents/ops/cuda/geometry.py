"""Which launch suits a layer: pure functions of sizes."""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = 8
"""Samples of a tile: ``kColumns`` of kernels/include/sparse_agents/cuda/tiles.h."""
THREADS = 512
"""Of a block, at most: the kernels need up to 128 registers, and a multiprocessor has 65,536."""
LANES = (4, 8, 16, 32)
MOST_ENTRIES = 16
"""Connections that a lane holds in registers. At 32 the backward spills."""


@dataclass(frozen=True)
class Processor:
    """What launches are fitted to.

    Attributes:
        multiprocessors: of the device.
        shared_bytes: the most that one block may have.
    """

    multiprocessors: int
    shared_bytes: int


@dataclass(frozen=True)
class RowGeometry:
    """How a layer's rows lie on the device.

    Attributes:
        lanes: threads that share out a row.
        entries: of its connections that each of them holds.
        passes: how often a row's share is loaded, for the longest.
        threads: of a block.
        blocks: for all rows.
        splits: of the batch, each with blocks of its own.
        tiles_each: of a split.
        shared_bytes: of a block; 0: activations are read from where they are.
    """

    lanes: int
    entries: int
    passes: int
    threads: int
    blocks: int
    splits: int
    tiles_each: int
    shared_bytes: int

    @property
    def defines(self) -> tuple[tuple[str, int], ...]:
        """Macros of kernels/cuda/layer.cu."""
        return (
            ("SA_LANES", self.lanes),
            ("SA_ENTRIES", self.entries),
            ("SA_SLAB", int(self.shared_bytes > 0)),
            ("SA_THREADS", self.threads),
        )


def tiles_of(batch: int) -> int:
    return -(-batch // COLUMNS)


def row_geometry(rows: int, longest: int, features: int, batch: int, processor: Processor) -> RowGeometry:
    """For a product whose longest row has ``longest`` connections to any of ``features``.

    As few lanes as hold the longest row, for blocks to have many rows and each tile to be fetched by few of them;
    the batch is split where that leaves multiprocessors idle.
    """
    lanes = next((n for n in LANES if n * MOST_ENTRIES >= longest), LANES[-1])
    entries = min(MOST_ENTRIES, _power_of_two(-(-max(longest, 1) // lanes)))
    passes = max(1, -(-longest // (lanes * entries)))
    threads = min(THREADS, -(-rows * lanes // 32) * 32)
    blocks = -(-rows * lanes // threads)
    slab = features * COLUMNS * 4
    shared = slab if slab <= processor.shared_bytes else 0
    resident = max(1, min(processor.shared_bytes // max(shared, 1), THREADS // threads))
    tiles = tiles_of(batch)
    wanted = max(1, min(tiles, processor.multiprocessors * resident // blocks))
    each = -(-tiles // wanted)
    return RowGeometry(lanes, entries, passes, threads, blocks, -(-tiles // each), each, shared)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
