"""Cannistraci-Hebb scores and the rule that grows by them, on cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor
from views import _, after, places, update, view

from sparse_agents.ops import GradientProbe
from sparse_agents.rules import CHT, LayerView, link_prediction
from sparse_agents.rules.link_prediction import best_by_paths, node_scores, path_estimates, path_scores
from sparse_agents.topology import Edges, random_edges


def by_paths(edges: Edges) -> Tensor:
    """Of every position, ``[rows, cols]``; what is said of connections means nothing."""
    return path_scores(edges, torch.arange(edges.size), torch.float64).view(edges.shape)


def by_nodes(edges: Edges) -> Tensor:
    return whole(edges, node_scores(edges, torch.float64))


def whole(edges: Edges, tiles: Iterable[tuple[int, Tensor]]) -> Tensor:
    result = torch.zeros(edges.shape, dtype=torch.float64)
    for first, tile in tiles:
        result[first : first + len(tile)] = tile
    return result


def scores(mask: list[list[int]], predictor: Callable[[Edges], Tensor] = by_paths) -> list[list[float]]:
    return predictor(Edges.from_mask(torch.tensor(mask, dtype=torch.bool))).tolist()  # type: ignore[no-any-return]


def test_ch3_l3p_of_a_single_path() -> None:
    """Inputs 0, 1 and outputs 0, 1 in a line: 0 – output 0 – input 1 – output 1. No link leads outside."""
    assert scores([[1, 1], [0, 1]])[1][0] == pytest.approx(1.0)


def test_ch3_l3p_counts_links_that_lead_outside() -> None:
    """As before, but output 0 also has inputs 2 and 3, and input 1 also has output 2: 1/√((1 + 2)(1 + 1))."""
    assert scores([[1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]])[1][0] == pytest.approx(1 / math.sqrt(6))


def test_ch3_l3p_adds_paths() -> None:
    """Two paths from input 0 to output 2, by outputs 0 and 1, which share input 1: each link is within."""
    assert scores([[1, 1], [1, 1], [0, 1]])[2][0] == pytest.approx(2.0)


@pytest.mark.parametrize("predictor", [by_paths, by_nodes])
def test_without_a_path_the_score_is_zero(predictor: Callable[[Edges], Tensor]) -> None:
    assert scores([[1, 0], [0, 1]], predictor)[1][0] == 0


def test_ch2_l3n_of_a_single_path() -> None:
    """Two inner nodes, one link between them: (1 + 1)/1 each."""
    assert scores([[1, 1], [0, 1]], by_nodes)[1][0] == pytest.approx(4.0)


def test_ch2_l3n_counts_links_within_and_outside() -> None:
    """Output 0 has one link within and two outside, input 1 one within and one outside: 2/3 + 2/2."""
    assert scores([[1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]], by_nodes)[1][0] == pytest.approx(5 / 3)


def test_ch2_l3n_counts_a_node_once_however_many_paths_it_is_on() -> None:
    """Outputs 0 and 1 have a link within each, input 1 has both: 2 + 2 + 3."""
    assert scores([[1, 1], [1, 1], [0, 1]], by_nodes)[2][0] == pytest.approx(7.0)


@pytest.mark.parametrize("predictor", [by_paths, by_nodes])
def test_scores_do_not_depend_on_the_tiles(
    predictor: Callable[[Edges], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    edges = random_edges((23, 17), 90, torch.Generator().manual_seed(0))
    at_once = predictor(edges)
    monkeypatch.setattr(link_prediction, "TILE_ELEMENTS", 100)
    assert len(list(node_scores(edges, torch.float64))) > 3
    assert torch.allclose(predictor(edges)[~edges.mask()], at_once[~edges.mask()])


@pytest.mark.parametrize("tile", [100, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("shape", "nnz"), [((9, 7), 20), ((23, 17), 90), ((40, 60), 700), ((20, 20), 250), ((5, 40), 30)]
)
def test_estimates_are_within_their_bounds(
    shape: tuple[int, int], nnz: int, dtype: torch.dtype, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_prediction, "TILE_ELEMENTS", tile)
    edges = random_edges(shape, nnz, torch.Generator().manual_seed(nnz))
    tiles = list(path_estimates(edges, dtype))
    estimates = whole(edges, ((first, estimate) for first, estimate, _ in tiles))
    bounds = whole(edges, ((first, bound) for first, _, bound in tiles))
    free = ~edges.mask()
    off = (estimates - by_paths(edges)).abs()[free]
    assert bool((off <= bounds[free] + 1e-14).all())
    assert tile == 100 or float(off.max()) > 1e-3, "they are no more than estimates, but for tiles of one row"


@pytest.mark.parametrize("tile", [100, 1 << 20])
@pytest.mark.parametrize("count", [1, 7, 40, 4000])
@pytest.mark.parametrize(
    ("shape", "nnz"), [((9, 7), 20), ((23, 17), 90), ((40, 60), 700), ((20, 20), 250), ((5, 40), 30)]
)
def test_the_best_by_estimates_are_the_best(
    shape: tuple[int, int], nnz: int, count: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_prediction, "TILE_ELEMENTS", tile)
    edges = random_edges(shape, nnz, torch.Generator().manual_seed(nnz))
    layer = LayerView("layer", edges, torch.zeros(nnz).double(), GradientProbe(), torch.Generator())
    found = best_by_paths(edges, layer, count)
    score = by_paths(edges).masked_fill(edges.mask(), 0.0).flatten()
    best = score.sort(descending=True).values[:count]
    assert len(found.unique()) == len(found) == int((best > 0).sum())
    torch.testing.assert_close(score[found].sort(descending=True).values, best[best > 0])


def test_cht_grows_what_the_paths_predict() -> None:
    """When 0.1 is gone, the only paths are those between the first two units."""
    layer = view([[0.9, 0.8, _, _], [_, 0.7, _, _], [_, _, 0.1, _]])
    assert after(layer, update(CHT(), layer, fraction=0.25)[0]) == [[0.9, 0.8, _, _], [0.0, 0.7, _, _], [_, _, _, _]]


def test_cht_draws_at_random_where_there_is_no_path() -> None:
    seen = set()
    for seed in range(60):
        layer = view([[0.9, _], [_, 0.1]])
        layer.generator.manual_seed(seed)
        seen.add(tuple(places(update(CHT(), layer)[0])))
    assert seen == {((0, 0), other) for other in ((0, 1), (1, 0), (1, 1))}
