"""The best absent connections by the paths of length three around them: Cannistraci-Hebb network automata."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sparse_agents.ops import product_with
from sparse_agents.rules.scores import best_free, best_within
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Edges, different

TILE_ELEMENTS = 1 << 20
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Of sums over paths, as a part of the sum."""

Predictor = Callable[[Edges, LayerView, int], Tensor]
"""Of the layer's absent connections, given those that are left, so many of the highest score: positions."""


def best_by_paths(left: Edges, layer: LayerView, count: int) -> Tensor:
    """By CH3-L3p. Most are told apart by estimates, the others by their paths."""
    dtype = layer.weight.dtype
    return best_within(path_estimates(left, dtype), partial(path_scores, left, dtype=dtype), layer, left.ids, count)


def best_by_nodes(left: Edges, layer: LayerView, count: int) -> Tensor:
    """By CH2-L3n."""
    dtype = layer.weight.dtype
    return best_free(node_scores(left, dtype), layer, left.ids, count, at_least=torch.finfo(dtype).tiny)


PREDICTORS: dict[str, Predictor] = {"ch3-l3p": best_by_paths, "ch2-l3n": best_by_nodes}


def path_scores(edges: Edges, ids: Tensor, dtype: torch.dtype) -> Tensor:
    """CH3-L3p of absent connections, ``[n]`` for positions ``[n]``.

    The local community splits: of an output unit z1 on a path from u to v, the inner links are those to inputs of
    v, whichever u; so 1 + e(z1) = degree(z1) − |inputs shared by z1 and v|, and likewise for an input unit z2 and u.
    """
    graph = _Graph.of(edges, dtype)
    cols = edges.shape[1]
    found = [graph.fan_in.new_empty(0)]
    for part in ids.split(max(1, TILE_ELEMENTS // max(edges.shape))):
        inputs = _rows(edges, torch.div(part, cols, rounding_mode="floor"), dtype)  # of v
        outputs = _rows(graph.transposed, part % cols, dtype)  # of u
        p = _inverse_root(graph.fan_in - graph.inputs_of(inputs))  # [n, z1]
        q = _inverse_root(graph.fan_out - graph.outputs_of(outputs))  # [n, z2]
        found.append((graph.outputs_of(p.mul_(outputs)) * q.mul_(inputs)).sum(1))
    return torch.cat(found)


def path_estimates(edges: Edges, dtype: torch.dtype) -> Iterator[tuple[int, Tensor, Tensor]]:
    """CH3-L3p of all absent connections within bounds: ``(first row, [rows, in_features], how far off at most)``.

    A path counts p(v, z1) q(z2, u), the inverse roots of 1 + e(z1) and 1 + e(z2). With p̄(z1) and q̄(z2) near them,

        Σ p q = Σ p q̄ + Σ p̄ (q − q̄) + Σ (p − p̄)(q − q̄).

    The first two sums are products of matrices, which take as long as there are connections and not paths. Of the third
    the square is at most Σ (p − p̄)² times Σ (q − q̄)², after Cauchy and Schwarz, and these are such products again.
    """
    graph = _Graph.of(edges, dtype)
    for tile in graph.tiles():
        p = _inverse_root(graph.fan_in - tile.shared_inputs)  # [v, z1]
        q = _inverse_root(graph.fan_out[tile.inputs].unsqueeze(1) - tile.shared_outputs)  # [z2, u]
        p_mean, q_mean = p.mean(0), q.mean(1)
        first = graph.outputs_of(p * graph.inputs_of(tile.spread(q_mean)))
        p_spread = graph.outputs_of(p.sub_(p_mean).square_().mul_(tile.shared_inputs))
        q.sub_(q_mean.unsqueeze(1))
        second = tile.sum_over_inputs(q * graph.outputs_of(tile.neighbours * p_mean))
        q_spread = tile.sum_over_inputs(q.square_().mul_(tile.shared_outputs))
        bound = p_spread.mul_(q_spread).sqrt_().add_(first, alpha=ROUNDING[dtype])
        yield tile.first, second.add_(first), bound


def node_scores(edges: Edges, dtype: torch.dtype) -> Iterator[tuple[int, Tensor]]:
    """CH2-L3n of all absent connections, ``(first row, [rows, in_features])``; others get any value.

    Of an output unit z on a path from u to v, the inner links are the inputs it shares with v, and all others but the
    one from u lead outside: what z adds depends on z and v alone. Likewise of an input unit z and u.
    """
    graph = _Graph.of(edges, dtype)
    for tile in graph.tiles():
        p = _inner_by_outer(tile.shared_inputs, graph.fan_in)  # [v, z1]
        q = _inner_by_outer(tile.shared_outputs, graph.fan_out[tile.inputs].unsqueeze(1))  # [z2, u]
        yield tile.first, graph.outputs_of(p).add_(tile.sum_over_inputs(q))


class _Tile(NamedTuple):
    """Some output units, v, and their links.

    Attributes:
        first: the first unit.
        links: ``[v, cols]``, 1 where there is one.
        inputs: the input units linked to any of them.
        within: the links, by place in ``inputs``.
        neighbours: ``[inputs, rows]``, 1 where such an input unit has a link.
        shared_inputs: ``[v, rows]``, how many inputs v has in common with each output unit.
        shared_outputs: ``[inputs, cols]``, how many outputs such an input unit has in common with each.
    """

    first: int
    links: Tensor
    inputs: Tensor
    within: Edges
    neighbours: Tensor
    shared_inputs: Tensor
    shared_outputs: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """``[v, cols]``, the values ``[inputs]`` in the places of links."""
        everywhere = values.new_zeros(self.links.shape[1]).index_copy_(0, self.inputs, values)
        return self.links * everywhere

    def sum_over_inputs(self, values: Tensor) -> Tensor:
        """``[inputs, cols]`` to ``[v, cols]``: over the inputs of each v."""
        product = product_with(self.within, values.dtype)
        return product(values.t().contiguous()).t().contiguous()


class _Graph(NamedTuple):
    """A bipartite graph, its degrees, and the products with it."""

    edges: Edges
    transposed: Edges
    fan_in: Tensor
    fan_out: Tensor
    inputs_of: Callable[[Tensor], Tensor]
    outputs_of: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, edges: Edges, dtype: torch.dtype) -> _Graph:
        transposed = edges.transposed()
        fan_in, fan_out = edges.row_ptr.diff().to(dtype), transposed.row_ptr.diff().to(dtype)
        return cls(edges, transposed, fan_in, fan_out, product_with(edges, dtype), product_with(transposed, dtype))

    def tiles(self) -> Iterator[_Tile]:
        """All of it where that is small, else rows whose links' neighbours are a tile; not those without a link."""
        edges, dtype = self.edges, self.fan_in.dtype
        rows, cols = edges.shape
        links = TILE_ELEMENTS // max(rows, cols)
        step = rows if links >= cols else max(1, links * rows // max(edges.nnz, 1))
        for first in range(0, rows, step):
            last = min(first + step, rows)
            begin, end = int(edges.row_ptr[first]), int(edges.row_ptr[last])
            if begin == end:  # no links, no paths
                continue
            row, col = edges.row[begin:end] - first, edges.col[begin:end].to(torch.int64)
            inputs = different(col)
            place = torch.zeros(cols, dtype=torch.int64, device=col.device)
            place[inputs] = torch.arange(len(inputs), device=col.device)
            within = Edges.from_ids(row * len(inputs) + place[col], (last - first, len(inputs)))
            own = self.fan_in.new_zeros(last - first, cols)
            own[row, col] = 1
            neighbours = _rows(self.transposed, inputs, dtype)
            yield _Tile(
                first, own, inputs, within, neighbours, self.inputs_of(own), self.outputs_of(neighbours)
            )  # fmt: skip


def _rows(edges: Edges, rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Of the adjacency matrix, ``[n, in_features]``."""
    begin = edges.row_ptr.to(torch.int64)[rows]
    counts = edges.row_ptr.diff().to(torch.int64)[rows]
    at = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
    ends = counts.cumsum(0)
    slot = torch.arange(len(at), device=rows.device) + (begin - ends + counts)[at]
    block = torch.zeros(len(rows), edges.shape[1], dtype=dtype, device=rows.device)
    block[at, edges.col[slot].to(torch.int64)] = 1
    return block


def _inverse_root(x: Tensor) -> Tensor:
    """1/√x, in place; 0 where x is 0, which no path goes through."""
    return x.masked_fill_(x < 1, torch.inf).rsqrt_()


def _inner_by_outer(shared: Tensor, degree: Tensor) -> Tensor:
    """(1 + i) / (1 + e); 0 without a path. A link to itself, where e is −1, is none of the absent ones'."""
    outer = (degree - shared).clamp_(min=1.0)
    inner = shared.clamp(max=1.0).add_(shared)
    return inner.div_(outer)
