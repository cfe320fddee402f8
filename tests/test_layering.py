"""Imports go down: each room of the package uses only the rooms below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sparse_agents
from sparse_agents.catalogue.imports import imported_rooms

FLOORS = [
    {"errors", "envs"},
    {"topology"},
    {"ops", "measures"},
    {"nn"},
    {"rules"},
    {"control"},
    {"policies"},
    {"training"},
    {"callbacks", "algorithms"},
    {"runs"},
    {"continual", "export"},
    {"experiments", "zoo"},
    {"benchmark"},
    {"cli"},
    {"catalogue"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
ROOT = next(Path(p) for p in sparse_agents.__path__ if (Path(p) / "topology" / "edges.py").is_file())
FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def rooms_of(path: Path) -> set[str]:
    return imported_rooms(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    own = parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no floor"
    for room in rooms_of(path):
        assert room == own or LEVEL[room] < LEVEL[own], f"{own} imports {room}"


def test_environments_know_nothing_of_the_library() -> None:
    for path in (ROOT.parent / "envs").rglob("*.py"):
        assert rooms_of(path) <= {"envs"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
