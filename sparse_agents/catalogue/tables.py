"""Pieces of which pages are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sparse_agents.catalogue.entries import Entry


def title(entry: Entry, kind: type, heading: str = "##") -> Iterator[str]:
    """Heading and description of an entry; where it lives."""
    yield f"{heading} `{entry.name}`\n"
    yield f"**{entry.summary}** `{kind.__module__}.{kind.__name__}`\n"
    for said in (entry.text, entry.differences):
        if said:
            yield f"{said}\n"


def table(entry: Entry) -> Iterator[str]:
    """Of its options, where it has some."""
    if entry.options:
        yield "| option | default | |"
        yield "|---|---|---|"
    for option in entry.options:
        yield f"| `{option.name}` | `{option.default}` | {option.meaning.replace('|', chr(92) + '|')} |"
    if entry.options:
        yield ""


def settings(values: Mapping[str, Any]) -> str:
    """As a user would write them."""
    return ", ".join(f"`{name}={value!r}`" for name, value in values.items())
