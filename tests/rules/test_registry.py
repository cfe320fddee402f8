from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from views import _, update, view

from sparse_agents.rules import RULES, ExchangeRule, LayerView, Static, make_rule, register


@pytest.fixture
def names() -> Iterator[None]:
    """Forgets what a test registers."""
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def test_unknown_rule_names_the_close_ones() -> None:
    with pytest.raises(
        ValueError, match=r"Unknown topology 'rigel'. Did you mean 'rigl' or 'srigl'.*Available: acdc, .*, rlx2, set, "
    ):
        make_rule("rigel")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("set", Static)
    assert RULES["set"] is not Static


@pytest.mark.parametrize("rule", [dict, Static()], ids=["dict", "instance"])
def test_only_classes_of_rules_are_registered(rule: type[Static], names: None) -> None:
    with pytest.raises(ValueError, match="give a class derived from TopologyRule or ExchangeRule"):
        register("mine", rule)


def test_a_rule_without_grow_is_refused_by_name(names: None) -> None:
    class Half(ExchangeRule):
        def drop(self, layer: LayerView, fraction: float) -> Tensor:
            return torch.tensor([0])

    with pytest.raises(ValueError, match=r"register\('half', Half\): it lacks grow\(\)"):
        register("half", Half)


@pytest.mark.parametrize(
    ("rule", "option", "value", "problem"),
    [
        ("nm", "m", "8", "m='8' is not a whole number"),
        ("nm", "m", 2.0, r"m=2\.0 is not a whole number"),
        ("snip", "batches", True, "batches=True is not a whole number"),
        ("synflow", "rounds", 2.5, r"rounds=2\.5 is not a whole number"),
        ("deepr", "l1", float("nan"), "l1=nan is not a finite number"),
        ("topkast", "exploration", float("inf"), "exploration=inf is not a finite number"),
        ("dsr", "threshold", None, "threshold=None is not a finite number"),
        ("dsr", "tolerance", -1, r"tolerance=-1 is not in \[0, 1\)"),
        ("set", "keep_regrown", "no", "keep_regrown='no' is not True or False"),
        ("ctre", "variant", 3, "variant=3 is not a name"),
        ("snfs", "betas", 0.9, r"betas=0\.9 are not two numbers"),
        ("snfs", "betas", ("a", "b"), r"betas=\('a', 'b'\) are not two numbers"),
    ],
)
def test_options_of_another_kind_are_refused_by_name(rule: str, option: str, value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make_rule(rule, **{option: value})


def test_options_of_ones_own_rule_are_looked_at_too(names: None) -> None:
    class Often(Static):
        def __init__(self, often: bool = False, anything: object = None) -> None:
            self.often = often

    register("often", Often)
    make_rule("often", often=True, anything=...)
    with pytest.raises(ValueError, match="often=1 is not True or False"):
        make_rule("often", often=1)


def test_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"option for topology='set' 'zeta'.*keep_regrown"):
        make_rule("set", zeta=0.3)


class Mine(ExchangeRule):
    """Drops the first two and grows the last free two, if told nothing else."""

    dropped: Callable[[LayerView], Tensor] = staticmethod(lambda _: torch.tensor([0, 1]))
    grown: Callable[[LayerView, Tensor], Tensor] = staticmethod(lambda _layer, _survivors: torch.tensor([4, 5]))

    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        return self.dropped(layer)

    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        return self.grown(layer, survivors)


LAYER = [[0.1, 0.2, 0.3], [0.4, _, _]]


def test_a_rule_of_ones_own() -> None:
    (rewire,) = update(Mine(), view(LAYER))
    assert rewire is not None
    assert rewire.edges.ids.tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("drop", "grow", "problem"),
    [
        ([0, 0], [4, 5], "drops a connection twice"),
        ([0, 1], [4], "grows 1 connections where it dropped 2"),
        ([0, 1], [4, 4], "grows a position twice, or one that is taken"),
        ([0, 1], [2, 4], "grows a position twice, or one that is taken"),
        ([0, 1], [4, 6], r"grows positions outside 0\.\.5"),
        ([0, 1], [-1, 4], r"grows positions outside 0\.\.5"),
        ([0, 1], [4.0, 5.0], "grows a torch.float32 tensor of shape"),
        ([0, 9], [4, 5], r"drops slots outside 0\.\.3"),
    ],
)
def test_what_a_rule_of_ones_own_gets_wrong_is_said(drop: list[int], grow: list[float], problem: str) -> None:
    rule = Mine()
    rule.dropped = lambda _: torch.tensor(drop)  # type: ignore[method-assign]
    rule.grown = lambda _layer, _survivors: torch.tensor(grow)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=rf"Mine {problem}.*in layer 'layer'"):
        update(rule, view(LAYER))


def test_lists_in_place_of_tensors_are_told() -> None:
    rule = Mine()
    rule.dropped = lambda _: [0, 1]  # type: ignore[assignment, return-value]
    with pytest.raises(ValueError, match="Mine drops list, not a tensor of slots"):
        update(rule, view(LAYER))


def test_a_rule_that_reads_a_gradient_has_to_say_so() -> None:
    rule = Mine()
    rule.grown = lambda layer, _: next(iter(layer.probe.tiles()))[1]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="needs_dense_gradient = True"):
        update(rule, view(LAYER))


def test_rules_work_on_single_connections_unless_they_say_otherwise(names: None) -> None:
    register("mine", Mine)
    with pytest.raises(ValueError, match="Mine judges single connections"):
        make_rule("mine", block_size=2)


def test_the_same_class_defined_again_takes_its_own_place(names: None) -> None:
    def define() -> type[Static]:
        class Again(Static):
            pass

        return Again

    register("again", define())
    second = register("again", define())
    assert RULES["again"] is second
