from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sparse_agents.experiments.learning_curves import Curves, draw, smoothed


def test_each_seed_is_smoothed_over_five_evaluations() -> None:
    returns = np.array([[0.0, 10.0, 20.0, 30.0, 40.0, 50.0], [6.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    expected = [[0.0, 5.0, 10.0, 15.0, 20.0, 30.0], [6.0, 3.0, 2.0, 1.5, 1.2, 0.0]]
    np.testing.assert_allclose(smoothed(returns), expected)


def test_no_two_lines_look_the_same(tmp_path: Path) -> None:
    curves = {f"agent {i}": Curves(np.array([1000, 2000]), np.array([[0.0, i], [1.0, i]])) for i in range(25)}
    draw({"Pendulum-v1": curves}, "many", tmp_path / "many.svg")
    drawn = re.findall(r'style="([^"]*stroke-width: 1\.8[^"]*)"', (tmp_path / "many.svg").read_text())
    assert len(drawn) == 2 * 25  # the legend has them, too
    assert len(set(drawn)) == 25
