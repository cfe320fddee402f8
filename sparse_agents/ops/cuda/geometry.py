"""Which launch suits a layer: pure functions of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = 8
"""Samples of a tile: ``kColumns`` of kernels/include/sparse_agents/cuda/tiles.h."""
THREADS = 512
"""Of a block, at most: the kernels need up to 128 registers, and a multiprocessor has 65,536."""
LANES = (4, 8, 16, 32)
BLOCKS = (8, 4)
"""Rows that may go together."""
ENTRIES = {1: (1, 2, 4, 8, 16, 24, 32), 4: (1, 2, 4), 8: (1, 2, 4)}
"""Connections that a lane may hold in registers, by the rows that go together: with more the backward spills. The more,
the fewer lanes a row takes, and the fewer blocks fetch the same tiles."""
MOST_THREADS = {1: THREADS, 4: THREADS, 8: THREADS // 2}
"""Of a block, by the rows that go together: eight take up to 255 registers."""
STAGES = 3
"""Parts of tiles that have room in shared memory: one is read, and those after it arrive."""
MOST_OF_A_PART = 2048
"""Features of a part, at most: with three of them in 192 KB, a tile of 4096 takes two."""
MOST_LAYERS = 8
"""``kMostLayers`` of kernels/include/sparse_agents/cuda/chain.h."""
SCRATCH = 2 * THREADS
"""Numbers of shared memory that a block of small networks sums up in."""
BYTES_STAGED = 12
"""Of a connection in shared memory: its weight, feature and slot."""
MOST_CONNECTIONS = 1 << 16
"""Of a network that a block goes through by itself; with more of them layers are better shared out among blocks."""


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
        threads: of a block.
        blocks: for all rows.
        splits: of the batch, each with blocks of its own.
        tiles_each: of a split.
        stages: parts of tiles that have room in shared memory; 0: activations are read from where they are.
        part: features of one, at most.
        shared_bytes: of a block.
        block: rows that go together.
    """

    lanes: int
    entries: int
    threads: int
    blocks: int
    splits: int
    tiles_each: int
    stages: int
    part: int
    shared_bytes: int
    block: int

    @property
    def defines(self) -> tuple[tuple[str, int], ...]:
        """Macros of kernels/cuda/layer.cu."""
        return (
            ("SA_LANES", self.lanes),
            ("SA_ENTRIES", self.entries),
            ("SA_BLOCK", self.block),
            ("SA_STAGES", self.stages),
            ("SA_PART", self.part),
            ("SA_THREADS", self.threads),
        )


def tiles_of(batch: int) -> int:
    return -(-batch // COLUMNS)


def row_geometry(rows: int, held: int, features: int, batch: int, processor: Processor, block: int = 1) -> RowGeometry:
    """For a product whose rows have ``held`` connections to any of ``features``, the few that have more taking several
    passes; of rows that go together ``block`` count as one.

    As few lanes as hold such a row, for blocks to have many rows and each tile to be fetched by few of them; the
    batch is split where that leaves multiprocessors idle. Tiles pass through shared memory, whole at every pass, where
    a block has more connections than it would copy features.
    """
    most = ENTRIES[block][-1]
    lanes = next((n for n in LANES if n * most >= held), LANES[-1])
    entries = next((n for n in ENTRIES[block] if lanes * n >= held), most)
    threads = min(MOST_THREADS[block], -(-rows * lanes // 32) * 32)
    blocks = -(-rows * lanes // threads)
    part = part_of_tiles(processor)
    passes = -(-held // (lanes * entries))
    stages = STAGES if min(rows, threads // lanes) * held > passes * features else 0
    shared = stages * min(part, features) * COLUMNS * 4
    resident = max(1, min(processor.shared_bytes // max(shared, 1), THREADS // threads))
    tiles = tiles_of(batch)
    wanted = max(1, min(tiles, processor.multiprocessors * resident // blocks))
    each = -(-tiles // wanted)
    return RowGeometry(lanes, entries, threads, blocks, -(-tiles // each), each, stages, part, shared, block)


def part_of_tiles(processor: Processor) -> int:
    """Features, a power of two, of which as many parts fit into shared memory as there are stages."""
    fitting = processor.shared_bytes // (STAGES * COLUMNS * 4)
    return min(MOST_OF_A_PART, 1 << fitting.bit_length() - 1)


@dataclass(frozen=True)
class ChainGeometry:
    """How a small network lies on the device.

    Attributes:
        blocks: each of which takes one tile after the other.
        threads: of a block.
        lanes_up: threads that share out a row, layer by layer, in the forward.
        lanes_down: in the backward.
    """

    blocks: int
    threads: int
    lanes_up: tuple[int, ...]
    lanes_down: tuple[int, ...]


def fits_a_block(heights: Sequence[int], connections: int, processor: Processor) -> bool:
    """Whether a network with such boundaries is a small one."""
    fits = _slabs(max(heights)) <= processor.shared_bytes and len(heights) <= MOST_LAYERS + 1
    return fits and connections <= MOST_CONNECTIONS


def chain_geometry(heights: Sequence[int], batch: int, processor: Processor) -> ChainGeometry:
    """For a network of which :func:`fits_a_block` is true."""
    lanes = [min(LANES[-1], 1 << max(THREADS // height, 1).bit_length() - 1) for height in heights]
    blocks = min(tiles_of(batch), 2 * processor.multiprocessors)
    return ChainGeometry(blocks, THREADS, tuple(lanes[1:]), tuple(lanes[:-1]))


@dataclass(frozen=True)
class SharedRoom:
    """What a block of small networks has in shared memory, besides the two boundaries that it works on.

    Attributes:
        tallest: features of a boundary, at most.
        staged: connections of a network, or 0 where they have no room.
        kept: activations between forward and backward, where both are in one launch, or 0.
    """

    tallest: int
    staged: int
    kept: int

    def bytes(self, kept: int) -> int:
        """That a launch takes which keeps so many activations."""
        return _slabs(self.tallest) + BYTES_STAGED * self.staged + 4 * kept


def shared_room(tallest: int, features: int, connections: int, processor: Processor) -> SharedRoom:
    """Connections first, for what is waited for longest.

    Args:
        tallest: features of a boundary, at most.
        features: of all boundaries whose activations are kept.
        connections: of a network, at most.
        processor: the device.
    """
    free = processor.shared_bytes - _slabs(tallest)
    staged = connections if BYTES_STAGED * connections <= free else 0
    kept = features * COLUMNS if BYTES_STAGED * staged + 4 * COLUMNS * features <= free else 0
    return SharedRoom(tallest, staged, kept)


def _slabs(tallest: int) -> int:
    """Bytes of two boundaries, and of room for sums."""
    return (2 * tallest * COLUMNS + SCRATCH) * 4
