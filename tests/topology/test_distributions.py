"""Exact connection counts out of shapes and a sparsity."""

from __future__ import annotations

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_agents import ConfigurationError
from sparse_agents.topology import DISTRIBUTIONS, Budget, allocate

Shapes = dict[str, tuple[int, int]]

shapes = st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=6).map(
    lambda pairs: {f"net.{2 * i}": pair for i, pair in enumerate(pairs)}
)
sparsities = st.floats(0, 0.995)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    layers = draw(shapes)
    dense = draw(st.sets(st.sampled_from(sorted(layers)))) if draw(st.booleans()) else set()
    return Budget(layers, draw(sparsities), frozenset(dense))


def share(shape: tuple[int, int], distribution: str) -> float:
    """What a layer's ideal count is proportional to."""
    rows, cols = shape
    return rows * cols if distribution == "uniform" else rows + cols


def filled(budget: Budget, distribution: str) -> dict[str, float] | None:
    """Ideal counts, min(size, ε · share) with ε found by bisection, or None where nothing is left."""
    sizes = {name: rows * cols for name, (rows, cols) in budget.shapes.items()}
    target = wanted(budget)
    sparse = {name: shape for name, shape in budget.shapes.items() if name not in budget.dense}
    if sparse and target <= 0:
        return None
    low, high = 0.0, float(max(sizes.values()))
    for _ in range(200):
        middle = (low + high) / 2
        total = sum(min(sizes[n], middle * share(s, distribution)) for n, s in sparse.items())
        low, high = (middle, high) if total < target else (low, middle)
    return {n: min(sizes[n], high * share(s, distribution)) for n, s in sparse.items()}


def wanted(budget: Budget) -> float:
    sizes = {name: rows * cols for name, (rows, cols) in budget.shapes.items()}
    assert budget.sparsity is not None
    return (1 - budget.sparsity) * sum(sizes.values()) - sum(sizes[name] for name in budget.dense)


@pytest.mark.parametrize("distribution", ["uniform", "erk", "er"])
@given(budget=budgets())
def test_counts_are_the_budget_to_the_connection(budget: Budget, distribution: str) -> None:
    ideal = filled(budget, distribution)
    if ideal is None or any(value < 1 for value in ideal.values()):
        return  # the next test's matter
    counts = allocate(budget, distribution)
    assert set(counts) == set(budget.shapes) - budget.dense
    if counts:
        assert abs(sum(counts.values()) - wanted(budget)) <= 0.5 + 1e-6
    for name, count in counts.items():
        rows, cols = budget.shapes[name]
        assert isinstance(count, int)
        assert 1 <= count <= rows * cols
        assert abs(count - ideal[name]) < 1 + 1e-6


def refusal(budget: Budget, distribution: str) -> str | None:
    try:
        counts = allocate(budget, distribution)
    except ConfigurationError as error:
        return str(error)
    assert all(count >= 1 for count in counts.values())
    return None


@pytest.mark.parametrize("distribution", ["uniform", "erk"])
@given(budget=budgets())
def test_a_layer_is_never_left_empty(budget: Budget, distribution: str) -> None:
    ideal = filled(budget, distribution)
    message = refusal(budget, distribution)
    if message is not None:
        assert ideal is None or any(value < 1 for value in ideal.values())
        assert f"sparsity={budget.sparsity}" in message
        assert any(name in message for name in set(budget.shapes) - budget.dense)


@given(layers=shapes, sparsity=st.floats(0.0, 0.99))
def test_erk_density_is_proportional_to_fan_in_plus_fan_out_over_their_product(layers: Shapes, sparsity: float) -> None:
    try:
        counts = allocate(Budget(layers, sparsity), "erk")
    except ConfigurationError:
        return
    full = {name for name, (rows, cols) in layers.items() if counts[name] == rows * cols}
    free = set(layers) - full
    # count = ε (n_in + n_out) up to rounding: one ε has to fit every layer that is not full.
    smallest = max((counts[n] - 1) / sum(layers[n]) for n in free) if free else 0.0
    largest = min((counts[n] + 1) / sum(layers[n]) for n in free) if free else math.inf
    assert smallest <= largest
    for name in full:  # a full layer would have had more
        assert largest * sum(layers[name]) >= counts[name] - 1


@given(layers=shapes)
def test_no_sparsity_means_every_connection(layers: Shapes) -> None:
    for distribution in ("uniform", "er", "erk"):
        assert allocate(Budget(layers, 0.0), distribution) == {n: r * c for n, (r, c) in layers.items()}


def test_uniform_is_the_same_density_everywhere() -> None:
    layers = {"a": (100, 50), "b": (20, 100), "c": (10, 10)}
    assert allocate(Budget(layers, 0.9), "uniform") == {"a": 500, "b": 200, "c": 10}


def test_erk_of_a_known_network() -> None:
    layers = {"0": (256, 17), "2": (256, 256), "4": (64, 256)}
    total = 256 * 17 + 256 * 256 + 64 * 256
    epsilon = 0.1 * total / (273 + 512 + 320)
    counts = allocate(Budget(layers, 0.9), "erk")
    assert sum(counts.values()) == round(0.1 * total)
    for name, (rows, cols) in layers.items():
        assert counts[name] == pytest.approx(epsilon * (rows + cols), abs=1)


def test_full_layer_passes_its_surplus_on() -> None:
    layers = {"in": (256, 2), "mid": (256, 256), "out": (1, 256)}
    counts = allocate(Budget(layers, 0.8), "erk")
    total = 512 + 256 * 256 + 256
    assert counts["in"] == 512
    assert counts["out"] == 256
    assert sum(counts.values()) == round(0.2 * total)


def test_dense_layers_are_paid_for_by_the_others() -> None:
    layers = {"a": (40, 40), "b": (40, 40), "out": (10, 40)}
    counts = allocate(Budget(layers, 0.75, frozenset({"out"})), "erk")
    assert set(counts) == {"a", "b"}
    assert sum(counts.values()) + 400 == round(0.25 * 3600)


def test_all_layers_dense_leaves_nothing_to_allocate() -> None:
    assert allocate(Budget({"a": (3, 4)}, 0.5, frozenset({"a"})), "erk") == {}


def test_lambdas_without_sparsity_are_taken_as_they_are() -> None:
    layers = {"a": (100, 10), "b": (100, 100), "c": (10, 100)}
    counts = allocate(Budget(layers, None, lambdas=[2, 7]), "lambda_er")
    assert counts == {"a": 2 * 110, "b": 7 * 200, "c": 7 * 110}


def test_lambdas_never_exceed_a_full_layer() -> None:
    counts = allocate(Budget({"a": (3, 4), "b": (100, 100)}, None, lambdas=[1000, 1]), "lambda_er")
    assert counts == {"a": 12, "b": 200}
    with pytest.raises(ValueError, match=r"lambdas=\[1000\] leave every layer of a dense"):
        allocate(Budget({"a": (3, 4)}, None, lambdas=[1000]), "lambda_er")


def test_lambdas_with_sparsity_set_the_proportions() -> None:
    layers = {"a": (100, 50), "b": (100, 100)}
    counts = allocate(Budget(layers, 0.9, lambdas=[1, 3]), "lambda_er")
    assert sum(counts.values()) == 1500
    assert counts["b"] / counts["a"] == pytest.approx(3 * 200 / 150, rel=0.01)


def test_er_and_erk_are_one_rule_for_linear_layers() -> None:
    layers = {"a": (13, 50), "b": (31, 13)}
    assert allocate(Budget(layers, 0.7), "er") == allocate(Budget(layers, 0.7), "erk")


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_sparsity_out_of_range_is_refused_by_value(sparsity: float) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"sparsity={sparsity} is not in [0, 1)")):
        allocate(Budget({"a": (3, 4)}, sparsity), "erk")


def test_unknown_distribution_is_refused_with_the_close_one() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown distribution 'unifrom'. Did you mean 'uniform'\?") as error:
        allocate(Budget({"a": (3, 4)}, 0.5), "unifrom")
    assert all(name in str(error.value) for name in DISTRIBUTIONS)


def test_layer_that_would_be_empty_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Layer 'tiny' \(2 inputs, 1 outputs\).*sparsity=0\.9.*'uniform'"):
        allocate(Budget({"big": (100, 100), "tiny": (1, 2)}, 0.9), "uniform")


def test_dense_layers_beyond_the_budget_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"sparsity=0\.9 leaves no connection for a once .* b are paid for"):
        allocate(Budget({"a": (10, 10), "b": (10, 10)}, 0.9, frozenset({"b"})), "erk")


def test_distribution_without_a_sparsity_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a `sparsity`"):
        allocate(Budget({"a": (10, 10)}, None), "erk")


def test_lambda_er_without_lambdas_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs `lambdas`"):
        allocate(Budget({"a": (10, 10)}, 0.5), "lambda_er")


@pytest.mark.parametrize("lambdas", [[0.0], [0.0, 0.0], [-1.0, 2.0]])
@pytest.mark.parametrize("sparsity", [None, 0.5])
def test_lambdas_that_cannot_work_are_refused(lambdas: list[float], sparsity: float | None) -> None:
    with pytest.raises(ConfigurationError):
        allocate(Budget({"a": (10, 10), "b": (10, 10)}, sparsity, lambdas=lambdas), "lambda_er")


def test_unknown_dense_layer_is_named() -> None:
    with pytest.raises(ConfigurationError, match="outputt"):
        allocate(Budget({"hidden": (10, 10), "output": (1, 10)}, 0.5, frozenset({"outputt"})), "erk")


def test_lamp_is_what_pruning_the_initial_weights_leaves() -> None:
    """Layer a: squares 1, 1, 1, 1 score 1/4, 1/3, 1/2, 1; layer b: 100, 1 score 1, 1/101. Of three, 1, 1 and 1/2."""
    weights = {"a": torch.ones(2, 2), "b": torch.tensor([[10.0, 1.0]])}
    budget = Budget({"a": (2, 2), "b": (1, 2)}, 0.5, weights=weights)
    assert allocate(budget, "lamp") == {"a": 2, "b": 1}


def test_lamp_does_not_depend_on_the_scale_of_a_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"a": (20, 10), "b": (5, 20)}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    scaled = {"a": weights["a"] * 100, "b": weights["b"]}
    one, other = (allocate(Budget(shapes, 0.8, weights=w), "lamp") for w in (weights, scaled))
    assert one == other
    assert sum(one.values()) == 60


def test_sparsities_by_pattern_the_first_match_counts() -> None:
    budget = Budget({"actor.0": (10, 10), "actor.2": (10, 10), "critic.0": (10, 10)}, 0.9)
    assert allocate(budget, {"actor.0": 0.5, "actor.*": 0.8, "*": 0.95}) == {
        "actor.0": 50,
        "actor.2": 20,
        "critic.0": 5,
    }


def test_a_layer_without_a_pattern_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no sparsity for layer 'b'"):
        allocate(Budget({"a": (10, 10), "b": (10, 10)}, 0.9), {"a": 0.5})


@pytest.mark.parametrize("sparsity", [1.0, -0.1])
def test_a_pattern_with_an_impossible_sparsity_is_named(sparsity: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"'a\*': {sparsity}"):
        allocate(Budget({"a": (10, 10)}, 0.9), {"a*": sparsity})
