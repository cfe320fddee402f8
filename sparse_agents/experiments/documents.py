"""Words and tables of documents."""

from __future__ import annotations

import re
from pathlib import Path

from sparse_agents.errors import ConfigurationError


def counted(number: int, noun: str) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def put_between_marks(document: Path, mark: str, text: str) -> None:
    """Replace what is between ``<!-- mark -->`` and the next ``<!-- end -->``.

    Raises:
        ConfigurationError: where the document has no such place.
    """
    content = document.read_text() if document.is_file() else ""
    pattern = re.compile(rf"(<!-- {re.escape(mark)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(content):
        raise ConfigurationError(f"{document} has no place `<!-- {mark} -->` … `<!-- end -->` for this table.")
    document.write_text(pattern.sub(lambda marks: f"{marks[1]}{text}\n{marks[2]}", content))
