"""Hyperparameters on the command line."""

from typing import Any

import pytest

from sparse_agents.errors import ConfigurationError
from sparse_agents.runs.literal import Literal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("None", None),
        ("[64, 64]", [64, 64]),
        ("{'a': 1}", {"a": 1}),
        ("dict(a=1, b=[2])", {"a": 1, "b": [2]}),
        (" dict()", {}),
        ("dict(a=dict(b='c'))", {"a": {"b": "c"}}),
        ("{'a': dict(b=1)}", {"a": {"b": 1}}),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert Literal.parse_all([f"name:{text}"], "--hyperparams") == {"name": value}


@pytest.mark.parametrize("text", ["lin_0.001", "dict(1)", "dict(**{})", "print(1)", "dict(a=print(1))", "a:b"])
def test_what_is_no_literal_is_a_string_and_never_run(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Literal.parse_all([f"name:{text}"], "--hyperparams") == {"name": text}
    assert capsys.readouterr().out == ""


def test_several_and_without_a_value() -> None:
    assert Literal.parse_all(["a:1", "b:x"], "--hyperparams") == {"a": 1, "b": "x"}
    with pytest.raises(ConfigurationError, match="--options 'a=1': write name:value"):
        Literal.parse_all(["a=1"], "--options")
