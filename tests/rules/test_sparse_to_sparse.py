"""Rules that exchange connections, on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch
from views import _, after, dense, places, update, view

from sparse_agents.ops.probe import Pair
from sparse_agents.rules import (
    CTRE,
    DSR,
    MEST,
    SNFS,
    DeepR,
    LayerView,
    Memory,
    RLx2,
    Static,
    TopKAST,
    make_rule,
)


def test_static_stays() -> None:
    assert update(Static(), view([[1.0, _]])) == [None]
    assert make_rule("static").schedule({"update_interval": 1}, Static.published) is None


# ------------------------------------------------------------------ DSR


def test_dsr_drops_below_the_threshold_and_grows_where_much_is_left() -> None:
    """Below 0.5 fall 2 of 4 and 1 of 4; with 2 and 3 left, 3 come back as 1.2 and 1.8: 1 and 2."""
    one = view([[0.1, 0.9, _, _, _], [0.2, 0.8, _, _, _]])
    two = view([[0.6, 0.9, _, _, _], [0.2, 0.8, _, _, _]])
    first, second = update(DSR(threshold=0.5), one, two)
    assert first is not None
    assert second is not None
    assert (first.dropped, first.grown, first.edges.nnz) == (2, 1, 3)
    assert (second.dropped, second.grown, second.edges.nnz) == (1, 2, 5)
    assert not {(0, 0), (1, 0)} & set(places(first)), "what was just dropped does not return at once"
    assert (1, 0) not in places(second)


@pytest.mark.parametrize(("fraction", "factor"), [(0.5, 1.0), (0.54, 1.0), (0.9, 2.0), (0.25, 0.5)])
def test_dsr_moves_its_threshold_when_too_few_or_too_many_go(fraction: float, factor: float) -> None:
    """2 of 4 go; wanted are 2, 2.16, 3.6 and 1, give or take a tenth."""
    memory = Memory()
    layer = view([[0.1, 0.9, _, _, _], [0.2, 0.8, _, _, _]])
    update(DSR(threshold=0.5), layer, fraction=fraction, memory=memory)
    assert float(memory.other["threshold"]) == 0.5 * factor


def test_dsr_keeps_what_is_as_large_as_the_threshold() -> None:
    (rewire,) = update(DSR(threshold=0.5), view([[0.5, 0.9, _], [0.2, _, _]]))
    assert rewire is not None
    assert rewire.dropped == 1
    assert {(0, 0), (0, 1)} < set(places(rewire))


def test_dsr_leaves_a_layer_one_connection() -> None:
    layer = view([[0.1, 0.3, 0.2, _, _, _]])
    (rewire,) = update(DSR(threshold=0.5), layer)
    assert (0, 1) in places(rewire)


def test_dsr_spares_the_largest_where_there_is_no_room() -> None:
    """Three fall below, one place is free: only the smallest goes."""
    layer = view([[0.1, 0.3, 0.2, 0.9, _]])
    assert after(layer, update(DSR(threshold=0.5), layer)[0]) == [[_, 0.3, 0.2, 0.9, 0.0]]


# ------------------------------------------------------------------ DeepR


def test_deepr_replaces_connections_that_turned_their_sign() -> None:
    layer = view([[0.5, -0.1, _], [-0.2, _, _]])
    layer.memory.slots["sign"] = torch.tensor([1.0, 1.0, -1.0]).double()  # slots: (0, 0), (0, 1), (1, 0)
    (rewire,) = update(DeepR(), layer)
    assert rewire is not None
    assert rewire.edges.nnz == 3
    assert {(0, 0), (1, 0)} < set(places(rewire))
    born = DeepR().new_weights(layer, rewire)
    assert born.abs().tolist() == [1e-12]


def test_deepr_keeps_a_weight_of_zero() -> None:
    """It has not turned yet."""
    layer = view([[0.0, -0.3, _, _]])
    layer.memory.slots["sign"] = torch.tensor([1.0, 1.0]).double()
    (rewire,) = update(DeepR(), layer)
    assert rewire is not None
    assert rewire.source.tolist().count(-1) == 1
    assert (0, 0) in places(rewire)


def test_deepr_shrinks_every_weight_towards_zero() -> None:
    layer = view([[0.5, -0.1]], learning_rate=0.1)
    rule = DeepR(l1=0.2, noise=0.0)
    rule.before_step(layer)
    rule.after_step(layer)
    assert layer.weight.tolist() == pytest.approx([0.48, -0.08])


def test_deepr_notes_the_sign_of_a_newcomer() -> None:
    layer = view([[0.5, -1e-12]])
    layer.memory.slots["sign"] = torch.tensor([1.0, 0.0]).double()
    DeepR().before_step(layer)
    assert layer.memory.slots["sign"].tolist() == [1.0, -1.0]


# ------------------------------------------------------------------ SNFS


def test_snfs_grows_where_momentum_is_large() -> None:
    """Half of 2 and of 4 go: 1 + 2. Mean momentum of the layers 3 and 1: of three, 2.25 and 0.75, so 2 and 1."""
    one, two = view([[0.1, 0.9, _, _, _]]), view([[0.1, 0.2, 0.7, 0.8, _, _]])
    for layer, momentum in ((one, [[3.0, 3.0, 9.0, 1.0, 4.0]]), (two, [[1.0, 1.0, 1.0, 1.0, 0.5, -2.0]])):
        layer.memory.other["m"] = torch.tensor(momentum).double()
        layer.memory.other["v"] = torch.ones_like(layer.memory.other["m"])
    first, second = update(SNFS(), one, two)
    assert after(one, first) == [[_, 0.9, 0.0, _, 0.0]]
    assert after(two, second) == [[_, _, 0.7, 0.8, _, 0.0]]


@pytest.mark.parametrize(("momentum", "left"), [(1.0, (12, 8)), (3.0, (18, 2))])
def test_snfs_takes_little_from_strong_layers_that_are_nearly_full(momentum: float, left: tuple[int, int]) -> None:
    """Of 18 in 20 half go where momentum is below the other's 2: with its one 10, shared out as 3 and 7. Where it is
    above, ⌈18/10⌉ go: with one 3, shared out as 2 and 1."""
    one = view([[0.1 * i for i in range(1, 19)] + [_, _]])
    two = view([[0.1, 0.2, _, _, _, _, _, _, _, _, _, _]])
    for layer, own in ((one, momentum), (two, 2.0)):
        layer.memory.other["m"] = torch.full(layer.edges.shape, own).double()
        layer.memory.other["v"] = torch.ones_like(layer.memory.other["m"])
    first, second = update(SNFS(), one, two)
    assert first is not None
    assert second is not None
    assert (first.edges.nnz, second.edges.nnz) == left


def test_snfs_lets_a_layer_that_filled_up_shrink_again() -> None:
    """Of 4 in 4, where 2 are meant, half go, and the stronger layer gets most of the 3."""
    one, two = view([[0.1, 0.2, 0.3, 0.4]], budget=2), view([[0.1, 0.2, _, _, _, _]])
    for layer, own in ((one, 1.0), (two, 8.0)):
        layer.memory.other["m"] = torch.full(layer.edges.shape, own).double()
        layer.memory.other["v"] = torch.ones_like(layer.memory.other["m"])
    first, second = update(SNFS(), one, two)
    assert first is not None
    assert second is not None
    assert (first.edges.nnz, second.edges.nnz) == (2, 4)


def test_snfs_leaves_a_layer_one_connection() -> None:
    """⌈0.5 · 1⌉ of one would be all of it."""
    layer = view([[0.1, _, _]])
    layer.memory.other["m"] = torch.tensor([[1.0, 3.0, 2.0]]).double()
    layer.memory.other["v"] = torch.ones_like(layer.memory.other["m"])
    assert update(SNFS(), layer) == [None]


def test_snfs_follows_the_dense_gradient_at_every_step() -> None:
    layer = view([[1.0, _]], [[2.0, -4.0]])
    SNFS(betas=(0.5, 0.75)).before_step(layer)
    assert dense(layer.memory.other["m"]) == [[1.0, -2.0]]
    assert dense(layer.memory.other["v"]) == [[1.0, 4.0]]


def test_snfs_refuses_layers_whose_momentum_would_not_fit() -> None:
    with pytest.raises(ValueError, match=r"'wide' has 67108864 possible connections.*Use 'rigl'"):
        SNFS().initial_edges("wide", torch.empty(8192, 8192, device="meta"), 1000, torch.Generator())


# ------------------------------------------------------------------ MEST


def test_mest_importance_is_weight_and_gradient() -> None:
    """0.1 + 0.01·|−100| beats 0.9: the second and the third go."""
    layer = view([[0.1, 0.9, 0.8, 1.2, _, _]], gradient=torch.tensor([-100.0, 0.0, 1.0, 0.0]).double())
    (rewire,) = update(MEST(), layer, fraction=0.5)
    assert rewire is not None
    assert {(0, 0), (0, 3)} < set(places(rewire))
    assert rewire.edges.nnz == 4
    assert sorted(rewire.source.tolist()) == [-1, -1, 0, 3]


@pytest.mark.parametrize(("progress", "exchanged"), [(0.0, 2), (0.5625, 2), (0.6, 1), (0.75, 1), (0.8, 0)])
def test_mest_exchanges_less_in_each_stage(progress: float, exchanged: int) -> None:
    layer = view([[0.4, 0.9, 0.8, 1.2, _, _]])
    (rewire,) = update(MEST(), layer, fraction=0.5, progress=progress)
    assert (0 if rewire is None else int((rewire.source < 0).sum())) == exchanged


def test_mest_with_a_soft_bound_holds_more_until_the_last_stage() -> None:
    layer = view([[0.1, 0.2, 0.3, 0.4, _, _, _, _]], budget=4)
    (grown,) = update(MEST(soft=True), layer, fraction=0.5)
    assert grown is not None
    assert (grown.edges.nnz, grown.dropped, grown.grown) == (6, 0, 2)
    more = view([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, _, _]], budget=4)
    assert after(more, update(MEST(soft=True), more, progress=1.0)[0]) == [[_, _, 0.3, 0.4, 0.5, 0.6, _, _]]


def test_mest_with_a_soft_bound_falls_to_its_budget_where_there_is_little_room() -> None:
    """Two more than four are wanted and there is room for one: four stay, one is drawn."""
    layer = view([[0.1, 0.5, 0.6, 0.7, 0.8]], budget=4)
    (rewire,) = update(MEST(soft=True), layer, fraction=0.5)
    assert after(layer, rewire) == [[0.0, 0.5, 0.6, 0.7, 0.8]]


# ------------------------------------------------------------------ CTRE


def activations(layer: LayerView, x: list[list[float]], y: list[list[float]]) -> LayerView:
    inputs, outputs = torch.tensor(x).double().t(), torch.tensor(y).double().t()
    layer.probe._pairs.append(Pair(inputs, outputs, outputs))  # type: ignore[attr-defined]
    return layer


def test_ctre_grows_between_units_that_fire_together() -> None:
    """Over two samples the inputs are (1, 0), (1, 1), (0, 1), (3, 4) and the output is (4, 3).

    |cosines|: 0.8, 7/√50 = 0.99, 0.6, 0.96. The connection from the third is the one dropped.
    """
    layer = activations(view([[0.5, _, 0.1, _]]), [[1, 1, 0, 3], [0, 1, 1, 4]], [[4], [3]])
    assert after(layer, update(CTRE(), layer)[0]) == [[0.5, 0.0, _, _]]


def test_ctre_sim_draws_at_random_in_place_of_growing_back() -> None:
    """The dropped connection is the most alike: of the others, one is drawn."""
    seen = set()
    for seed in range(30):
        layer = activations(view([[0.5, 0.1, _, _]]), [[1, 4, 0, 3], [0, 3, 1, -4]], [[4], [3]])
        layer.generator.manual_seed(seed)
        (rewire,) = update(CTRE("sim"), layer)
        seen.add(tuple(places(rewire)))
    assert seen == {((0, 0), (0, c)) for c in (1, 2, 3)}


def test_ctre_seq_grows_back_and_later_at_random() -> None:
    def grown(number: int) -> set[tuple[tuple[int, int], ...]]:
        found = set()
        for seed in range(30):
            layer = activations(view([[0.5, 0.1, _, _]]), [[1, 4, 0, 3], [0, 3, 1, -4]], [[4], [3]])
            layer.generator.manual_seed(seed)
            found.add(tuple(places(update(CTRE("seq", random_after=2), layer, number=number)[0])))
        return found

    assert grown(1) == {((0, 0), (0, 1))}
    assert len(grown(2)) == 3


def test_ctre_takes_outputs_as_the_next_layer_gets_them() -> None:
    """Before a ReLU of its own the unit is most like the third input, after it like the fourth."""
    samples = [[1, 0, 1, 0], [0, 1, -1, 0], [0, 0, -1, 0], [1, 0, 1, 1]]
    first = activations(view([[0.5, 0.1, _, _]], name="first"), samples, [[1.0], [-1.0], [-1.0], [2.0]])
    passed_on = activations(view([[0.5]], name="second"), [[0.0], [0.0], [0.0], [2.0]], [[0.0]] * 4)
    alone = update(CTRE("seq"), first)[0]
    seen = update(CTRE("seq"), first, passed_on, paths=[("first", "second")])[0]
    assert places(alone) == [(0, 0), (0, 2)]
    assert places(seen) == [(0, 0), (0, 3)]


def test_ctre_ignores_silent_units() -> None:
    layer = activations(view([[0.5, 0.1, _, _]]), [[1, 0, 0, 3], [0, 0, 1, 4]], [[4], [3]])
    assert places(update(CTRE("seq"), layer)[0]) == [(0, 0), (0, 3)]


# ------------------------------------------------------------------ Top-KAST


def kast(weights: list[list[float | None]], budget: int, ceiling: float) -> LayerView:
    layer = view(weights, budget=budget)
    layer.memory.other.update(
        ceiling=torch.tensor(ceiling).double(),
        level=torch.tensor(ceiling).double(),
        key=torch.tensor(0),
        ids=torch.empty(0, dtype=torch.int64),
        values=torch.empty(0, dtype=torch.float64),
    )
    return layer


def test_topkast_computes_with_the_largest_and_stores_twice_as_many() -> None:
    edges = TopKAST().initial_edges("layer", torch.tensor([[0.1, -0.9, 0.3], [0.7, 0.2, 0.5]]), 2, torch.Generator())
    assert edges.mask().tolist() == [[False, True, True], [True, False, True]]
    assert edges.active is not None
    assert edges.dense(edges.active).tolist() == [[False, True, False], [True, False, False]]


def test_topkast_remembers_what_has_left() -> None:
    """0.01 falls below what rests outside (up to 0.1), leaves B, and returns with its value when others fall lower."""
    rule = TopKAST()
    layer = kast([[0.9, 0.8, 0.7, 0.01, _, _]], budget=2, ceiling=0.1)
    (rewire,) = update(rule, layer)
    assert rewire is not None
    assert rewire.edges.nnz == 4
    assert (0, 3) not in places(rewire)
    (come,) = rule.new_weights(layer, rewire).tolist()
    assert 0.01 < abs(come) < 0.1
    resting = layer.memory.other
    assert 3 in resting["ids"]
    assert 0.01 in resting["values"]
    later = LayerView("layer", rewire.edges, torch.tensor([0.9, 0.8, 0.7, 1e-9]).double(), layer.probe,
                      layer.generator, 4, 2, memory=layer.memory)  # fmt: skip
    (still,) = {4, 5} - set(rewire.edges.ids.tolist())
    resting.update(ids=torch.tensor([still, 3]), values=torch.tensor([1e-8, 0.01], dtype=torch.float64))
    (back,) = update(rule, later)
    assert back is not None
    assert (0, 3) in places(back)
    assert rule.new_weights(later, back).tolist() == [0.01]


def test_topkast_regularises_exploration_more() -> None:
    """λ θ on A and λ θ / D on B∖A, with D = 1/4."""
    layer = kast([[1.0, 2.0, _, _]], budget=1, ceiling=0.1)
    edges = layer.edges.with_active(torch.tensor([False, True]))
    gradient = torch.zeros(2).double()
    layer = LayerView("layer", edges, layer.weight, layer.probe, layer.generator, 2, 1, gradient, memory=layer.memory)
    TopKAST(regularisation=0.1).before_step(layer)
    assert gradient.tolist() == pytest.approx([0.4, 0.2])


# ------------------------------------------------------------------ RLx2


def test_rlx2_is_rigl_at_its_own_pace() -> None:
    layer = view([[0.1, 0.9, _]], [[0.0, 0.0, 1.0]])
    assert after(layer, update(RLx2(), layer)[0]) == [[_, 0.9, 0.0]]
    weight = torch.tensor([[0.1, -0.9], [0.5, 0.2]])
    assert RLx2().initial_edges("layer", weight, 2, torch.Generator()).ids.tolist() == [1, 2]
    assert RLx2.published == {"update_interval": 10_000, "drop_fraction": 0.5, "schedule": "cosine"}


@pytest.mark.parametrize(("options", "kind"), [({}, "constant"), ({"end": 50_000}, "cosine")])
def test_rlx2_anneals_in_policies_where_an_end_is_given(options: dict[str, int], kind: str) -> None:
    schedule = RLx2().schedule(options, RLx2.reinforcement)
    assert schedule is not None
    assert schedule.schedule == kind
