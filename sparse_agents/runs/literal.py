"""Hyperparameters on the command line, as rl-zoo writes them: ``name:value``."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparse_agents.errors import ConfigurationError


@dataclass(frozen=True)
class Literal:
    """``name:value`` with a Python literal for a value, ``dict(a=1)`` among them; what is none of these is a string."""

    name: str
    value: Any

    @classmethod
    def parse_all(cls, texts: Sequence[str], flag: str) -> dict[str, Any]:
        """Of a flag that takes several."""
        return {literal.name: literal.value for literal in (cls._parse(text, flag) for text in texts)}

    @classmethod
    def _parse(cls, text: str, flag: str) -> Literal:
        name, separator, value = text.partition(":")
        if not separator:
            raise ConfigurationError(f"{flag} {text!r}: write name:value, such as batch_size:256.")
        try:
            return cls(name, ast.literal_eval(_DictCalls().visit(ast.parse(value.strip(), mode="eval"))))
        except (ValueError, SyntaxError):
            return cls(name, value)


class _DictCalls(ast.NodeTransformer):
    """``dict(a=1)`` becomes ``{"a": 1}``, at any depth."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        names = [keyword.arg for keyword in node.keywords]
        if not isinstance(node.func, ast.Name) or node.func.id != "dict" or node.args or None in names:
            return node
        return ast.Dict(keys=[ast.Constant(name) for name in names], values=[k.value for k in node.keywords])
