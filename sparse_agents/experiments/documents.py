"""Words and tables of documents."""

from __future__ import annotations

import re
from pathlib import Path

from sparse_agents.errors import ConfigurationError


def counted(number: int, noun: str) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def between_marks(document: Path, mark: str) -> str:
    """What is between ``<!-- mark -->`` and the next ``<!-- end -->``.

    Raises:
        ConfigurationError: where the document has no such place.
    """
    found = _place(mark).search(document.read_text() if document.is_file() else "")
    if found is None:
        raise ConfigurationError(f"{document} has no place `<!-- {mark} -->` … `<!-- end -->` for this table.")
    return found[2]


def put_between_marks(document: Path, mark: str, text: str) -> None:
    """Replace :func:`between_marks`."""
    between_marks(document, mark)
    document.write_text(_place(mark).sub(lambda marks: f"{marks[1]}{text}\n{marks[3]}", document.read_text()))


def filled_cells(markdown: str) -> int:
    """How much a table tells: its cells beside the labels that are neither empty nor a dash."""
    rows = [line.strip("|").split("|")[1:] for line in markdown.splitlines() if line.startswith("| ")]
    return sum(cell.strip() not in ("", "–") for row in rows[1:] for cell in row)


def _place(mark: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {re.escape(mark)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)
