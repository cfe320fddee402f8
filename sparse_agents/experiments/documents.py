"""Words and tables of documents."""

from __future__ import annotations

import re
from pathlib import Path

from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import alone_in


def counted(number: int, noun: str) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def between_marks(document: Path, mark: str) -> str:
    """What is between ``<!-- mark -->`` and the next ``<!-- end -->``.

    Raises:
        ConfigurationError: where there is no such document, or no such place in it.
    """
    if not document.is_file():
        raise ConfigurationError(f"There is no {document} here for this table: run this where its path leads to it.")
    found = _place(mark).search(document.read_text())
    if found is None:
        raise ConfigurationError(f"{document} has no place `<!-- {mark} -->` … `<!-- end -->` for this table.")
    return found[2]


def put_between_marks(document: Path, mark: str, text: str) -> None:
    """Replace :func:`between_marks`."""
    between_marks(document, mark)
    with alone_in(document.parent):
        document.write_text(_place(mark).sub(lambda marks: f"{marks[1]}{text}\n{marks[3]}", document.read_text()))


def _place(mark: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {re.escape(mark)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
