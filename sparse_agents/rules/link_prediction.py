"""Scores of absent connections by the paths of length three around them: Cannistraci-Hebb network automata."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sparse_agents.ops import product_with
from sparse_agents.topology import Edges, different, places

TILE_ELEMENTS = 1 << 20

Tiles = Iterator[tuple[int, Tensor]]
Predictor = Callable[[Edges, torch.dtype], Tiles]


def path_scores(edges: Edges, dtype: torch.dtype) -> Tiles:
    """CH3-L3p of all absent connections, ``(first row, [rows, in_features])``; others get any value.

    The local community splits: of an output unit z1 on a path from u to v, the inner links are those to inputs of
    v, whichever u; so 1 + e(z1) = degree(z1) − |inputs shared by z1 and v|, and likewise for an input unit z2 and u.
    What remains are products with the adjacency matrix, one tile of rows at a time.
    """
    graph = _Graph.of(edges, dtype)
    for tile in graph.tiles(TILE_ELEMENTS // max(edges.shape)):
        p = _inverse_root(graph.fan_in - tile.shared_inputs)  # [v, z1]
        q = _inverse_root(graph.fan_out[tile.inputs].unsqueeze(1) - tile.shared_outputs)  # [z2, u]
        reached = graph.outputs_of(tile.neighbours[tile.input] * p[tile.row])  # [links of v, u]
        score = p.new_zeros(len(p), edges.shape[1])
        yield tile.first, score.index_add_(0, tile.row, reached.mul_(q[tile.input]))


def node_scores(edges: Edges, dtype: torch.dtype) -> Tiles:
    """CH2-L3n, as :func:`path_scores`.

    Of an output unit z on a path from u to v, the inner links are the inputs it shares with v, and all others but the
    one from u lead outside: what z adds depends on z and v alone. Likewise of an input unit z and u.
    """
    graph = _Graph.of(edges, dtype)
    most = TILE_ELEMENTS // max(edges.shape)
    for tile in graph.tiles(most if most < edges.shape[1] else edges.nnz):
        p = _inner_by_outer(tile.shared_inputs, graph.fan_in)  # [v, z1]
        q = _inner_by_outer(tile.shared_outputs, graph.fan_out[tile.inputs].unsqueeze(1))  # [z2, u]
        links = Edges.from_ids(tile.row * len(tile.inputs) + tile.input, (len(p), len(q)))
        inputs_of_tile = product_with(links, dtype)
        yield tile.first, graph.outputs_of(p).add_(inputs_of_tile(q.t().contiguous()).t().contiguous())


PREDICTORS: dict[str, Predictor] = {"ch3-l3p": path_scores, "ch2-l3n": node_scores}


class _Tile(NamedTuple):
    """Some output units, v, and their links.

    Attributes:
        first: the first unit.
        row: ``[links]``, which of the units.
        input: ``[links]``, which of ``inputs``.
        inputs: the input units linked to any of them.
        neighbours: ``[inputs, rows]``, 1 where such an input unit has a link.
        shared_inputs: ``[v, rows]``, how many inputs v has in common with each output unit.
        shared_outputs: ``[inputs, cols]``, how many outputs such an input unit has in common with each.
    """

    first: int
    row: Tensor
    input: Tensor
    inputs: Tensor
    neighbours: Tensor
    shared_inputs: Tensor
    shared_outputs: Tensor


class _Graph(NamedTuple):
    """A bipartite graph, its degrees, and the products with it."""

    edges: Edges
    dtype: torch.dtype
    fan_in: Tensor
    fan_out: Tensor
    inputs_of: Callable[[Tensor], Tensor]
    outputs_of: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, edges: Edges, dtype: torch.dtype) -> _Graph:
        fan_in, fan_out = edges.row_ptr.diff().to(dtype), edges.transpose.col_ptr.diff().to(dtype)
        return cls(edges, dtype, fan_in, fan_out, product_with(edges, dtype), product_with(edges.transposed(), dtype))

    def tiles(self, of_links: int) -> Iterator[_Tile]:
        """Each of about so many links."""
        rows, cols = self.edges.shape
        step = max(1, int(of_links * rows / max(self.edges.nnz, 1)))
        for first in range(0, rows, step):
            last = min(first + step, rows)
            begin, end = int(self.edges.row_ptr[first]), int(self.edges.row_ptr[last])
            row, col = self.edges.row[begin:end] - first, self.edges.col[begin:end].to(torch.int64)
            inputs = different(col)
            place = torch.full((cols,), -1, device=inputs.device)
            place[inputs] = torch.arange(len(inputs), device=inputs.device)
            neighbours = self._columns(place, len(inputs))
            links = self.fan_in.new_zeros(last - first, cols)
            links[row, col] = 1
            yield _Tile(
                first,
                row,
                place[col],
                inputs,
                neighbours,
                self.inputs_of(links),
                self.outputs_of(neighbours),
            )

    def _columns(self, place: Tensor, count: int) -> Tensor:
        """Columns of the adjacency matrix as rows, ``[count, rows]``; ``place`` says where each goes, if not -1."""
        at = place[self.edges.col.to(torch.int64)]
        links = places(at >= 0)
        block = self.fan_in.new_zeros(count, self.edges.shape[0])
        block.view(-1)[at[links] * self.edges.shape[0] + self.edges.row[links]] = 1
        return block


def _inverse_root(x: Tensor) -> Tensor:
    """1/√x; 0 where x is 0, which no path goes through."""
    return torch.where(x > 0, x.clamp(min=1.0).rsqrt(), torch.zeros_like(x))


def _inner_by_outer(shared: Tensor, degree: Tensor) -> Tensor:
    """(1 + i) / (1 + e); 0 without a path. A link to itself, where e is −1, is none of the absent ones'."""
    outer = (degree - shared).clamp_(min=1.0)
    inner = shared.clamp(max=1.0).add_(shared)
    return inner.div_(outer)
