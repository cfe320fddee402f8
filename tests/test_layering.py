"""Imports go down: each room of the package uses only the rooms below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sparse_agents

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
    {"benchmark", "experiments", "zoo"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
ROOT = next(Path(p) for p in sparse_agents.__path__ if (Path(p) / "topology" / "edges.py").is_file())
FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "sparse_agents":
                names = [f"sparse_agents.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("sparse_agents.")}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    own = parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no floor"
    for room in imported_rooms(path):
        assert room == own or LEVEL[room] < LEVEL[own], f"{own} imports {room}"


def test_environments_know_nothing_of_the_library() -> None:
    for path in (ROOT.parent / "envs").rglob("*.py"):
        assert imported_rooms(path) <= {"envs"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
