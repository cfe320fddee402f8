"""Choosing connections by score, exactly as many as asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from sparse_agents.rules.view import LayerView
from sparse_agents.topology import Edges, ascending, kth_smallest, places, random_free, window, without


def smallest(scores: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` smallest, ties by index, never more, sorted. O(n)."""
    if count <= 0:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    if count >= len(scores):
        return torch.arange(len(scores), device=scores.device)
    threshold = kth_smallest(scores, count)
    chosen = places(scores <= threshold)
    excess = len(chosen) - count
    if excess == 0:
        return chosen
    ties = places(scores[chosen] == threshold)
    return without(chosen, ties[len(ties) - excess :])


def largest(scores: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` largest, ties by index, sorted."""
    return smallest(-scores, count)


def largest_edges(weight: Tensor, count: int) -> Edges:
    """The ``count`` largest |w| of a matrix, ties by position."""
    return Edges.from_ids(largest(weight.abs().reshape(-1), count), (weight.shape[0], weight.shape[1]))


def largest_of_all(scores: Sequence[Tensor], count: int) -> list[Tensor]:
    """Per layer, the indices that are among the ``count`` largest over all layers; each layer keeps at least one."""
    lengths = [len(s) for s in scores]
    everything = torch.cat(list(scores))
    kept = torch.zeros_like(everything, dtype=torch.bool)
    for first, score in zip(_starts(lengths), scores, strict=True):
        if len(score):
            kept[first + int(score.argmax())] = True
    reserved = kept.clone()
    rest = everything.masked_fill(reserved, -torch.inf)
    kept[largest(rest, count - int(reserved.sum()))] = True
    return [places(part) for part in kept.split(lengths)]


def _starts(lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[:i]) for i in range(len(lengths))]


def magnitude_drop(layer: LayerView, fraction: float) -> Tensor:
    """The ⌊ζ·nnz⌋ connections of smallest |w|."""
    return smallest(layer.weight.abs(), int(fraction * layer.edges.nnz))


def random_growth(layer: LayerView, survivors: Tensor, count: int) -> Tensor:
    """Uniform among all positions no survivor occupies, just-dropped ones included."""
    return random_free(survivors, layer.edges.size, count, layer.generator)


def gradient_growth(layer: LayerView, survivors: Tensor, count: int) -> Tensor:
    """The largest |dense gradient| among the positions no survivor occupies, ties by position."""
    return best_free(((first, tile.abs_()) for first, tile in layer.probe.tiles()), layer, survivors, count)


def best_free(
    tiles: Iterable[tuple[int, Tensor]], layer: LayerView, taken: Tensor, count: int, *, at_least: float = 0.0
) -> Tensor:
    """The positions of largest score that are not ``taken`` (sorted), ties by position.

    Tiles stream through a running top-k: O(tile + count) memory. Fewer than ``count`` where fewer score
    ``at_least`` that.

    Args:
        tiles: ``(first row, scores [rows, in_features])``; a tile is overwritten.
        layer: whose positions they are.
        taken: linear positions out of the question.
        count: how many.
        at_least: lowest score that is good enough, not negative.
    """
    if count == 0:
        return taken[:0]
    cols = layer.edges.shape[1]
    best_cost = torch.empty(0, dtype=layer.weight.dtype, device=layer.weight.device)
    best_id = torch.empty(0, dtype=torch.int64, device=layer.weight.device)
    for first, tile in tiles:
        cost = tile.reshape(-1).neg_()
        begin, end = window(taken, first * cols, first * cols + len(cost))
        cost[taken[begin:end] - first * cols] = 1.0
        if len(best_id) == count:  # later positions lose ties
            chosen = places(cost < best_cost.max())
        else:
            chosen = smallest(cost, count)
            chosen = chosen[cost[chosen] <= -at_least]
        best_cost = torch.cat([best_cost, cost[chosen]])
        best_id = torch.cat([best_id, chosen + first * cols])
        if len(best_id) > count:
            keep = smallest(best_cost, count)
            best_cost, best_id = best_cost[keep], best_id[keep]
    return best_id


def best_within(
    tiles: Iterable[tuple[int, Tensor, Tensor]],
    exact: Callable[[Tensor], Tensor],
    layer: LayerView,
    taken: Tensor,
    count: int,
) -> Tensor:
    """As :func:`best_free`, where most scores need not be known exactly. Those that are not positive are out.

    Args:
        tiles: ``(first row, estimates [rows, in_features], how far they are off at most)``.
        exact: the scores ``[n]`` of positions ``[n]``.
        layer: whose positions they are.
        taken: linear positions out of the question, sorted.
        count: how many.
    """
    cols = layer.edges.shape[1]
    ids, low, high = taken[:0], layer.weight[:0], layer.weight[:0]
    floor = torch.finfo(layer.weight.dtype).tiny
    for first, estimate, bound in tiles if count else ():
        most = (estimate + bound).view(-1)
        begin, end = window(taken, first * cols, first * cols + len(most))
        most[taken[begin:end] - first * cols] = -1.0
        at = places(most >= floor)
        ids = torch.cat([ids, at + first * cols])
        low, high = torch.cat([low, (estimate - bound).view(-1)[at]]), torch.cat([high, most[at]])
        if len(ids) > count:
            floor = max(floor, float(kth_smallest(low, len(low) - count + 1)))
            stay = places(high >= floor)
            ids, low, high = ids[stay], low[stay], high[stay]
    if len(ids) <= count:
        return ids
    sure = low > kth_smallest(high, len(high) - count)  # whatever the others are
    doubtful = ids[places(~sure)]
    chosen = doubtful[largest(exact(doubtful), count - int(sure.sum()))]
    return torch.cat([ids[places(sure)], chosen])


def fill_groups(tiles: Iterable[tuple[int, Tensor]], survivors: Tensor, missing: Tensor, width: int) -> Tensor:
    """The best positions of every group, as many as it misses, ties by position; sorted.

    Args:
        tiles: ``(first position, scores [groups, width])``, none negative, over all positions; overwritten.
        survivors: linear positions that are taken, sorted.
        missing: ``[all groups]``, how many each group is to get.
        width: positions in a group.
    """
    # Made at once: small tensors kept from among large ones would leave holes in the heap.
    grown = missing.new_empty(int(missing.sum()))
    done = 0
    for first, scores in tiles:
        begin, end = window(survivors, first, first + scores.numel())
        scores.view(-1)[survivors[begin:end] - first] = -1.0
        wanted = missing[first // width : first // width + len(scores)]
        many = int(wanted.sum())
        if many:
            grown[done : done + many] = first + places(_largest_in_rows(scores, wanted).view(-1))
        done += many
    return grown


def _largest_in_rows(scores: Tensor, wanted: Tensor) -> Tensor:
    """Which are among the ``wanted[row]`` largest of their row, ties by position, ``[rows, width]`` bool."""
    width = scores.shape[1]
    threshold = ascending(scores).gather(1, (width - wanted).clamp(max=width - 1).unsqueeze(1))
    chosen = scores >= threshold
    excess = chosen.view(torch.uint8).sum(1, dtype=torch.int32) - wanted  # sums of bools are slow
    rows = places(excess > 0)
    tied = scores[rows] == threshold[rows]
    rank = tied.cumsum(1)
    chosen[rows] &= ~(tied & (rank > rank[:, -1:] - excess[rows].unsqueeze(1)))
    return chosen
