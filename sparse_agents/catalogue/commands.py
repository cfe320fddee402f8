"""The page of commands."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from docstring_parser import parse_from_object

from sparse_agents.catalogue.entries import markdown
from sparse_agents.catalogue.tables import rows
from sparse_agents.cli import COMMANDS

HEAD = """\
# Commands

`sparse-agents COMMAND`, or `python scripts/COMMAND.py` in a clone. All of them have `--help`, end with 2 where
something given cannot work and say what, and with 130 after Ctrl-C.
"""


def commands_page() -> str:
    """Markdown, a section for each command."""
    return "\n".join([HEAD, *("\n".join(_command(name)) for name in COMMANDS)])


def _command(name: str) -> Iterator[str]:
    module = importlib.import_module(f"sparse_agents.cli.{name}")
    arguments = getattr(module, f"{name.title().replace('_', '')}Arguments")
    said = parse_from_object(arguments)
    yield f"## `{name}`\n"
    yield " ".join(f"{said.short_description} {said.long_description or ''}".split()) + "\n"
    meanings = _meanings(arguments)
    yield from rows((_option(field), _default(field), meanings[field.name]) for field in fields(arguments))


def _meanings(arguments: type) -> dict[str, str]:
    """What fields are for, by name; inherited ones, too."""
    parents = [parent for parent in reversed(arguments.__mro__) if is_dataclass(parent)]
    said = [one for parent in parents for one in parse_from_object(parent).params]
    return {one.arg_name: " ".join(markdown(one.description or "").split()) for one in said}


def _option(field: Field[Any]) -> str:
    """What has no default is given by its place."""
    shown = field.name.replace("_", "-")
    required = field.default is MISSING and field.default_factory is MISSING
    return shown.upper() if required else f"--{shown}"


def _default(field: Field[Any]) -> str:
    """As on the command line; nothing where there is none, or where it depends."""
    value = field.default
    if value is MISSING or value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{' '.join(map(str, value)) if isinstance(value, tuple) else value}`"
