"""Pieces of which pages are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
        yield from rows((option.name, f"`{option.default}`", option.meaning) for option in entry.options)


def rows(options: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """A table of names, defaults in Markdown, and meanings."""
    yield "| option | default | |"
    yield "|---|---|---|"
    for name, default, meaning in options:
        yield f"| `{name}` | {default} | {meaning.replace('|', chr(92) + '|')} |"
    yield ""


def settings(values: Mapping[str, Any]) -> str:
    """As a user would write them."""
    return ", ".join(f"`{name}={value!r}`" for name, value in values.items())
