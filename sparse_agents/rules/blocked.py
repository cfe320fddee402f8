"""Any rule, over blocks of connections in place of single ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.view import DenseGradient, LayerView, Update
from sparse_agents.topology import Edges, Moment, Rewire, Schedule, ascending

Block = tuple[int, int]


def block_shape(block_size: int | Sequence[int] | str) -> Block | None:
    """``4``: four units sharing an input; ``(r, c)``: r units by c inputs; ``"unit"``: all inputs of a unit (None)."""
    if block_size == "unit":
        return None
    shape = (block_size, 1) if isinstance(block_size, int) and block_size is not True else block_size
    if not isinstance(shape, list | tuple) or len(shape) != 2 or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise ConfigurationError(
            f'block_size={block_size!r} is not a number of units, a pair (units, inputs), or "unit".'
        )
    return (shape[0], shape[1])


class Blocked(TopologyRule):
    """Shows a rule every layer in coarse.

    A block is one connection, of weight the mean |w| in the block (with the sign of the sum), of dense gradient the
    sum of |gradient|.

    Args:
        rule: what to show it to.
        block: units by inputs, None for whole units.
    """

    def __init__(self, rule: TopologyRule, block: Block | None) -> None:
        name = type(rule).__name__
        if not rule.blocks:
            raise ConfigurationError(f"{name} judges single connections. Leave block_size out.")
        if rule.every_step or rule.needs_curvature:
            raise ConfigurationError(f"{name} says `blocks = True`, and blocks have no every_step and no curvature.")
        if rule.competes and block is None:
            raise ConfigurationError(
                f"{name} lets layers compete, and units of different layers have different numbers of connections. "
                "Give a block_size in numbers, or scope='layer' where the rule has a scope."
            )
        self.rule = rule
        self.block = block
        self.whole_units = block is None
        self.competes = rule.competes
        self.convolutions = rule.convolutions
        self.dynamic = rule.dynamic
        self.needs_dense_gradient = rule.needs_dense_gradient
        self.replaces_step = rule.replaces_step
        self.ramps = rule.ramps
        self.timed = rule.timed

    def schedule(self, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Schedule | None:
        return self.rule.schedule(options, defaults)

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        grid = self._grid(layer.name, layer.edges.shape, layer.budget)
        return self.rule.wanted(grid.coarse(layer), moment) * grid.area

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        grid = self._grid(name, (weight.shape[0], weight.shape[1]), budget)
        return grid.fine(self.rule.initial_edges(name, grid.means(weight), grid.blocks(budget), generator))

    def largest_edges(self, name: str, weight: Tensor, budget: int) -> Edges:
        grid = self._grid(name, (weight.shape[0], weight.shape[1]), budget)
        return grid.fine(self.rule.largest_edges(name, grid.means(weight), grid.blocks(budget)))

    def update(self, update: Update) -> Sequence[Rewire | None]:
        grids = [self._grid(layer.name, layer.edges.shape, layer.budget) for layer in update.layers]
        coarse = [grid.coarse(layer) for grid, layer in zip(grids, update.layers, strict=True)]
        rewires = self.rule.update(replace(update, layers=coarse))
        return [
            None if rewire is None else grid.fine_rewire(layer.edges, rewire)
            for grid, layer, rewire in zip(grids, update.layers, rewires, strict=True)
        ]

    def _grid(self, name: str, shape: tuple[int, int], budget: int) -> Grid:
        rows, cols = self.block or (1, shape[1])
        if budget == shape[0] * shape[1] and not self.competes:
            return Grid(shape, (1, 1))  # dense, and stays so
        if shape[0] % rows or shape[1] % cols:
            raise ConfigurationError(
                f"Layer {name!r} has {shape[0]} outputs and {shape[1]} inputs, which blocks of {rows} by {cols} do not "
                "divide. Choose another block_size, or leave the layer dense with `exclude` or `dense_output`."
            )
        return Grid(shape, (rows, cols))


@dataclass(frozen=True)
class Grid:
    """Blocks laid over a layer's matrix."""

    shape: tuple[int, int]
    block: Block

    @property
    def area(self) -> int:
        return self.block[0] * self.block[1]

    @property
    def coarse_shape(self) -> tuple[int, int]:
        return (self.shape[0] // self.block[0], self.shape[1] // self.block[1])

    def blocks(self, connections: int) -> int:
        """As many blocks as come closest to a number of connections, at least one."""
        return max(1, round(connections / self.area))

    def cut(self, matrix: Tensor) -> Tensor:
        """``[rows, cols]`` -> ``[block rows, rows in a block, block columns, columns in a block]``."""
        return matrix.reshape(-1, self.block[0], self.coarse_shape[1], self.block[1])

    def means(self, matrix: Tensor) -> Tensor:
        """``[block rows, block columns]``, what stands for the weights of a block."""
        blocks = self.cut(matrix)
        return blocks.abs().mean((1, 3)).copysign(blocks.sum((1, 3)))

    def block_ids(self, edges: Edges) -> Tensor:
        """The linear position of the block of each connection."""
        return edges.row.div(self.block[0], rounding_mode="floor") * self.coarse_shape[1] + edges.col.to(
            torch.int64
        ).div(self.block[1], rounding_mode="floor")

    def fine(self, coarse: Edges) -> Edges:
        return Edges.from_ids(ascending(self._fine_ids(coarse).flatten()), self.shape)

    def _fine_ids(self, coarse: Edges) -> Tensor:
        """``[blocks, area]``."""
        rows = torch.arange(self.block[0], device=coarse.col.device).view(-1, 1)
        cols = torch.arange(self.block[1], device=coarse.col.device)
        first = coarse.row * self.block[0] * self.shape[1] + coarse.col.to(torch.int64) * self.block[1]
        return first.view(-1, 1) + (rows * self.shape[1] + cols).flatten()

    def coarse(self, layer: LayerView) -> LayerView:
        """The layer, a block for a connection."""
        ids, place = self.block_ids(layer.edges).unique(return_inverse=True)
        zero = torch.zeros(len(ids), dtype=layer.weight.dtype, device=layer.weight.device)
        mean = zero.index_add(0, place, layer.weight.abs()) / self.area
        return replace(
            layer,
            edges=Edges.from_ids(ids, self.coarse_shape),
            weight=mean.copysign(zero.index_add(0, place, layer.weight)),
            probe=_CoarseGradient(layer.probe, self),
            start=layer.start // self.area,
            budget=self.blocks(layer.budget),
            gradient=None if layer.gradient is None else zero.index_add(0, place, layer.gradient.abs()) / self.area,
        )

    def fine_rewire(self, old: Edges, coarse: Rewire) -> Rewire:
        """What happens to the connections when this happens to the blocks."""
        ids, order = self._fine_ids(coarse.edges).flatten().sort()
        rewire = Rewire.to(old, ids)
        fresh = (coarse.source < 0).repeat_interleave(self.area)[order]
        return replace(rewire, source=rewire.source.masked_fill(fresh, -1))


class _CoarseGradient:
    """The sum of |dense gradient| over each block."""

    def __init__(self, fine: DenseGradient, grid: Grid) -> None:
        self._fine, self._grid = fine, grid

    def tiles(self, multiple: int = 1) -> Iterator[tuple[int, Tensor]]:
        rows = self._grid.block[0]
        for first, tile in self._fine.tiles(rows * multiple):
            yield first // rows, self._grid.cut(tile).abs().sum((1, 3))

    def activations(self) -> tuple[Tensor, Tensor]:
        return self._fine.activations()
