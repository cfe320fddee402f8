"""The comparison of rules, on runs short enough to test."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_agents.experiments import CONTENDERS, Interval, digits_accuracy, pendulum_return
from sparse_agents.experiments.rule_comparison import PROBLEMS, markdown, plot
from sparse_agents.rules import RULES


def test_every_rule_takes_part() -> None:
    assert set(RULES) <= {contender.topology for contender in CONTENDERS.values()}


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_digits_are_learned_a_little_in_three_epochs(name: str) -> None:
    """Guessing gets a tenth."""
    result = digits_accuracy(name, 0.9, seed=0, epochs=3)
    assert result["accuracy"] > 30
    expected = {"dense": 84480}.get(name, 8448)
    if "nm" not in name and "topkast" not in name:
        assert abs(result["connections"] - expected) <= (0 if "soft" not in name else expected)


def test_digits_at_a_seed_are_the_same() -> None:
    assert digits_accuracy("set", 0.9, 1, epochs=2) == digits_accuracy("set", 0.9, 1, epochs=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_pendulum_runs(name: str) -> None:
    assert -2000 < pendulum_return(name, 0.9, 0, steps=800)["return"] < 0


def test_the_table_is_sorted_by_the_highest_sparsity() -> None:
    summary = {
        "static": {0.9: Interval(90, 89, 91), 0.95: Interval(85, 84, 86), 0.98: Interval(70, 60, 80)},
        "dense": {0.0: Interval(97, 96.5, 97.5)},
        "set": {0.9: Interval(91, 90, 92), 0.95: Interval(90, 89, 91), 0.98: Interval(80.06, 79, 81)},
    }
    rows = markdown(PROBLEMS["digits"], summary, 5).splitlines()[6:]
    assert [row.split(" | ")[0] for row in rows] == ["| dense", "| set", "| static"]
    assert rows[0] == "| dense | 97.0 [96.5, 97.5] | 97.0 [96.5, 97.5] | 97.0 [96.5, 97.5] |"
    assert "80.1 [79.0, 81.0]" in rows[1]


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    summary = {"static": {0.9: Interval(-300, -400, -200)}, "dense": {0.0: Interval(-150, -160, -140)}}
    plot({"pendulum": summary}, tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert text.startswith("<?xml")
