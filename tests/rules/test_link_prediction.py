"""Cannistraci-Hebb scores and the rule that grows by them, on cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from views import _, after, places, update, view

from sparse_agents.rules import CHT, link_prediction
from sparse_agents.rules.link_prediction import Predictor, node_scores, path_scores
from sparse_agents.topology import Edges, random_edges


def scores(mask: list[list[int]], predictor: Predictor = path_scores) -> list[list[float]]:
    edges = Edges.from_mask(torch.tensor(mask, dtype=torch.bool))
    return torch.cat([tile for _first, tile in predictor(edges, torch.float64)]).tolist()  # type: ignore[no-any-return]


def test_ch3_l3p_of_a_single_path() -> None:
    """Inputs 0, 1 and outputs 0, 1 in a line: 0 – output 0 – input 1 – output 1. No link leads outside."""
    assert scores([[1, 1], [0, 1]])[1][0] == pytest.approx(1.0)


def test_ch3_l3p_counts_links_that_lead_outside() -> None:
    """As before, but output 0 also has inputs 2 and 3, and input 1 also has output 2: 1/√((1 + 2)(1 + 1))."""
    assert scores([[1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]])[1][0] == pytest.approx(1 / math.sqrt(6))


def test_ch3_l3p_adds_paths() -> None:
    """Two paths from input 0 to output 2, by outputs 0 and 1, which share input 1: each link is within."""
    assert scores([[1, 1], [1, 1], [0, 1]])[2][0] == pytest.approx(2.0)


@pytest.mark.parametrize("predictor", [path_scores, node_scores])
def test_without_a_path_the_score_is_zero(predictor: Predictor) -> None:
    assert scores([[1, 0], [0, 1]], predictor)[1][0] == 0


def test_ch2_l3n_of_a_single_path() -> None:
    """Two inner nodes, one link between them: (1 + 1)/1 each."""
    assert scores([[1, 1], [0, 1]], node_scores)[1][0] == pytest.approx(4.0)


def test_ch2_l3n_counts_links_within_and_outside() -> None:
    """Output 0 has one link within and two outside, input 1 one within and one outside: 2/3 + 2/2."""
    assert scores([[1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]], node_scores)[1][0] == pytest.approx(5 / 3)


def test_ch2_l3n_counts_a_node_once_however_many_paths_it_is_on() -> None:
    """Outputs 0 and 1 have a link within each, input 1 has both: 2 + 2 + 3."""
    assert scores([[1, 1], [1, 1], [0, 1]], node_scores)[2][0] == pytest.approx(7.0)


@pytest.mark.parametrize("predictor", [path_scores, node_scores])
def test_scores_do_not_depend_on_the_tiles(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    edges = random_edges((23, 17), 90, torch.Generator().manual_seed(0))
    whole = torch.cat([tile for _first, tile in predictor(edges, torch.float64)])
    monkeypatch.setattr(link_prediction, "TILE_ELEMENTS", 100)
    tiles = list(predictor(edges, torch.float64))
    assert len(tiles) > 3
    assert torch.allclose(torch.cat([tile for _first, tile in tiles])[~edges.mask()], whole[~edges.mask()])


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
