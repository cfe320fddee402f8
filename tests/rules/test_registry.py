from __future__ import annotations

import pytest

from sparse_agents.rules import RULES, Static, make_rule, register


def test_unknown_rule_names_the_close_ones() -> None:
    with pytest.raises(
        ValueError, match=r"Unknown topology 'rigel'. Did you mean 'rigl' or 'srigl'.*Available: acdc, .*, rlx2, set, "
    ):
        make_rule("rigel")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("set", Static)
    assert RULES["set"] is not Static


def test_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match=r"'set' does not take these options.*zeta"):
        make_rule("set", zeta=0.3)
