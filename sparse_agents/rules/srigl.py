"""RigL with constant fan-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.scores import fill_groups, gradient_growth, largest
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Edges, Rewire, ascending, places, random_in_groups


class SRigL(TopologyRule):
    """Every unit has the same number of connections, and units that matter little lose all of theirs.

    Lasby, Golubeva, Evci, Nica, Ioannou, "Dynamic Sparse Training with Structured Sparsity", ICLR 2024, section 3. With
    K = ⌊ζ·nnz⌋, a weight is salient if it is among the nnz − K largest |w|, or the K largest |dense gradient| of absent
    ones. Units with fewer than max(1, ⌊γ·fan-in⌋) salient weights are ablated, but not in an output layer. The others
    share the layer's connections equally: each keeps what it has among the nnz − K largest |w| of theirs, up to its
    fan-in, and grows the rest by |dense gradient|. An ablated unit comes back when it has salient weights again. The
    update follows the optimizer's step, unlike RigL's.

    Differences from the authors' code: fan-ins differ by one where the number of connections is not a multiple of
    the number of units, so that it is exact (theirs rounds down); an
    overfull unit keeps its largest weights, where theirs cuts any; saliency by gradient goes to absent connections,
    as in the paper, where theirs counts present ones too.

    Args:
        ablation: γ; 0 never ablates.
    """

    needs_dense_gradient = True
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "cosine"}

    def __init__(self, ablation: float = 0.3) -> None:
        if not 0 <= ablation <= 1:
            raise ConfigurationError(f"ablation={ablation} is not in [0, 1].")
        self.ablation = ablation

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        rows, cols = weight.shape
        fan_in = _fan_ins(budget, torch.ones(rows, dtype=torch.bool))
        return Edges.from_ids(random_in_groups(fan_in, cols, generator), (rows, cols))

    def largest_edges(self, name: str, weight: Tensor, budget: int) -> Edges:
        rows, cols = weight.shape
        fan_in = _fan_ins(budget, torch.ones(rows, dtype=torch.bool))
        return Edges.from_ids(fill_groups([(0, weight.abs())], fan_in.new_empty(0), fan_in, cols), (rows, cols))

    def update(self, update: Update) -> Sequence[Rewire | None]:
        outputs = {path[-1] for path in update.paths}
        if self.ablation and {layer.name for layer in update.layers} - {name for path in update.paths for name in path}:
            raise ConfigurationError(
                "topology='srigl' ablates units, but not outputs, and which layers are outputs cannot be told: they do "
                "not form a chain in the order they are registered. Name them in `paths`, or set ablation=0."
            )
        return [self._update(layer, update.moment.fraction, layer.name in outputs) for layer in update.layers]

    def _update(self, layer: LayerView, fraction: float, output: bool) -> Rewire | None:
        edges = layer.edges
        if edges.nnz == edges.size:
            return None
        exchanged = int(fraction * edges.nnz)
        size = layer.weight.abs()
        kept = largest(size, edges.nnz - exchanged)
        active = torch.ones(edges.shape[0], dtype=torch.bool, device=size.device)
        if not output:
            active = self._active(layer, kept, exchanged)
        if not active.all():
            kept = largest(size.masked_fill(~active[edges.row], -1.0), edges.nnz - exchanged)
            kept = kept[active[edges.row[kept]]]
        fan_in = _fan_ins(edges.nnz, active)
        kept = _at_most(kept, size, edges.row, fan_in)
        survivors = edges.ids[kept]
        missing = fan_in - torch.bincount(edges.row[kept], minlength=edges.shape[0])
        cols = edges.shape[1]
        tiles = ((first * cols, tile.abs()) for first, tile in layer.probe.tiles())
        grown = fill_groups(tiles, survivors, missing, cols)
        return Rewire.exchange(edges, kept, grown, keep_regrown=True)

    def _active(self, layer: LayerView, large: Tensor, exchanged: int) -> Tensor:
        """Which units keep connections, ``[out_features]`` bool."""
        edges = layer.edges
        rows, cols = edges.shape
        wished = gradient_growth(layer, edges.ids, min(exchanged, edges.size - edges.nnz))
        salient = torch.bincount(edges.row[large], minlength=rows)
        salient += torch.bincount(torch.div(wished, cols, rounding_mode="floor"), minlength=rows)
        active = salient >= max(1, int(self.ablation * edges.nnz / rows)) if self.ablation else salient >= 0
        needed = -(-edges.nnz // cols)  # units that can take all connections
        if int(active.sum()) < needed:
            active = torch.zeros_like(active)
            active[largest(salient, needed)] = True
        return active


def _fan_ins(connections: int, active: Tensor) -> Tensor:
    """An equal share for every active unit, one more for the first few where it does not divide."""
    units = places(active)
    fan_in = torch.zeros_like(active, dtype=torch.int64)
    fan_in[units] = connections // len(units)
    fan_in[units[: connections % len(units)]] += 1
    return fan_in


def _at_most(slots: Tensor, size: Tensor, row: Tensor, limit: Tensor) -> Tensor:
    """Of the slots those that are among the largest ``limit[row]`` of their row, sorted."""
    counts = torch.bincount(row[slots], minlength=len(limit))
    crowded = (counts > limit)[row[slots]]
    by_size = slots[crowded]
    by_size = by_size[size[by_size].argsort(descending=True, stable=True)]
    by_row = by_size[row[by_size].argsort(stable=True)]
    counts.masked_fill_(counts <= limit, 0)
    rank = torch.arange(len(by_row), device=row.device) - (counts.cumsum(0) - counts)[row[by_row]]
    return ascending(torch.cat([slots[~crowded], by_row[rank < limit[row[by_row]]]]))
