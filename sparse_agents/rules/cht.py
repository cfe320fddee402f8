"""Cannistraci-Hebb training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.ops import product_with
from sparse_agents.rules.base import ExchangeRule
from sparse_agents.rules.scores import best_free, magnitude_drop, random_growth
from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Edges, ascending, union

TILE_ELEMENTS = 1 << 22


class CHT(ExchangeRule):
    """Grow where the topology itself predicts a connection, by the paths of length three around it.

    Zhang, Zhao, Wu, Muscoloni, Cannistraci, "Epitopological learning and Cannistraci-Hebb network shape intelligence
    brain-inspired theory for ultra-sparse advantage in deep learning", ICLR 2024: drop the ⌊ζ·nnz⌋ smallest |w|; grow
    as many of the largest CH3-L3p score on the graph that is left,

        CH3-L3p(u, v) = Σ over paths u – z1 – z2 – v of 1 / √((1 + e(z1)) (1 + e(z2))),

    e(z) being the links of z that lead neither to u or v nor into their local community, the inner nodes of all such
    paths. Connections without a path are drawn at random. One dropped and grown at once keeps its value and moments. No
    gradient is needed.

    Differences from the authors' code: units that lose all their connections are not removed from the network, and
    training starts from any distribution of connections, where theirs may start from a correlated one.
    """

    keep_regrown = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 1000, "drop_fraction": 0.3, "schedule": "constant"}

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return magnitude_drop(layer, fraction)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        left = Edges.from_ids(survivors, layer.edges.shape)
        smallest_score = torch.finfo(torch.float64).tiny
        predicted = best_free(path_scores(left), layer, survivors, count, at_least=smallest_score)
        taken = union(survivors, ascending(predicted))
        return torch.cat([predicted, random_growth(layer, taken, count - len(predicted))])


def path_scores(edges: Edges) -> Iterator[tuple[int, Tensor]]:
    """CH3-L3p of all absent connections, ``(first row, [rows, in_features])``, float64; others get any value.

    The local community splits: of an output unit z1 on a path from u to v, the inner links are those to inputs of
    v, whichever u; so 1 + e(z1) = degree(z1) − |inputs shared by z1 and v|, and likewise for an input unit z2 and u.
    What remains are products with the adjacency matrix, one tile of rows at a time.
    """
    rows, cols = edges.shape
    outputs_of, inputs_of = product_with(edges.transposed()), product_with(edges)
    fan_in = edges.row_ptr.diff().double()
    fan_out = edges.transpose.col_ptr.diff().double()
    step = max(1, int(TILE_ELEMENTS / (max(rows, cols) * max(edges.nnz / rows, 1.0))))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        begin, end = int(edges.row_ptr[first]), int(edges.row_ptr[last])
        v, z2 = edges.row[begin:end] - first, edges.col[begin:end].to(torch.int64)
        seen, which = z2.unique(return_inverse=True)
        neighbours = _columns(edges, seen)  # [seen, rows]: which z1 a z2 is linked to
        inputs = torch.zeros(last - first, cols, dtype=torch.float64)
        inputs[v, z2] = 1
        p = _inverse_root(fan_in - inputs_of(inputs))  # [v, z1]
        q = _inverse_root(fan_out[seen].unsqueeze(1) - outputs_of(neighbours))  # [z2, u]
        reached = outputs_of(neighbours[which] * p[v])  # [links of v, u]
        yield first, torch.zeros(last - first, cols, dtype=torch.float64).index_add_(0, v, reached * q[which])


def _columns(edges: Edges, columns: Tensor) -> Tensor:
    """These columns of the adjacency matrix, as rows: ``[len(columns), rows]``."""
    place = torch.full((edges.shape[1],), -1, dtype=torch.int64)
    place[columns] = torch.arange(len(columns))
    at = place[edges.col.to(torch.int64)]
    block = torch.zeros(len(columns), edges.shape[0], dtype=torch.float64)
    block[at[at >= 0], edges.row[at >= 0]] = 1
    return block


def _inverse_root(x: Tensor) -> Tensor:
    """1/√x; 0 where x is 0, which no path goes through."""
    return torch.where(x > 0, x.clamp(min=1.0).rsqrt(), torch.zeros_like(x))
