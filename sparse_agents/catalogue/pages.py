"""All that is written by ``scripts/catalogue.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sparse_agents.catalogue.algorithms import algorithms_page
from sparse_agents.catalogue.commands import commands_page
from sparse_agents.catalogue.diagram import diagram
from sparse_agents.catalogue.differences import differences_page
from sparse_agents.catalogue.imports import read_rooms
from sparse_agents.catalogue.methods import methods_page
from sparse_agents.catalogue.rules import rules_page


def _architecture(repository: Path) -> str:
    return diagram(read_rooms(repository / "sparse_agents", repository / "envs"))


PAGES: Mapping[str, Callable[[Path], str]] = {
    "catalogue/algorithms.md": lambda _: algorithms_page(),
    "catalogue/rules.md": lambda _: rules_page(),
    "catalogue/methods.md": lambda _: methods_page(),
    "catalogue/commands.md": lambda _: commands_page(),
    "differences.md": lambda _: differences_page(),
    "architecture.svg": _architecture,
}
"""Text by file, relative to ``docs``; given the repository's folder."""
