"""Which rooms of the package import which."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "sparse_agents"


@dataclass(frozen=True)
class Room:
    """A folder of the package, or a file beside them.

    Attributes:
        name: of the folder.
        summary: the first line of its docstring.
        imports: names of the rooms that any of its files import.
    """

    name: str
    summary: str
    imports: frozenset[str]


def read_rooms(package: Path, environments: Path) -> Mapping[str, Room]:
    """All rooms by name.

    Args:
        package: folder of the sources.
        environments: folder of those that are imported as ``sparse_agents.envs``.
    """
    paths = [path for path in [*package.iterdir(), environments] if path.name not in ("__init__.py", "__pycache__")]
    rooms = [_room(path) for path in sorted(paths) if path.is_dir() or path.suffix == ".py"]
    return {room.name: room for room in rooms}


def floors(rooms: Mapping[str, Room]) -> list[list[str]]:
    """Rooms from the ground up: each as low as what it imports allows."""

    @cache
    def level(name: str) -> int:
        return 1 + max((level(below) for below in rooms[name].imports), default=-1)

    return [[name for name in rooms if level(name) == floor] for floor in range(1 + max(map(level, rooms)))]


def stairs(rooms: Mapping[str, Room]) -> list[tuple[str, str]]:
    """Imports that are not implied by others: from a room to one that nothing else of its imports leads to."""

    @cache
    def below(name: str) -> frozenset[str]:
        return rooms[name].imports.union(*(below(one) for one in rooms[name].imports))

    return [
        (name, one)
        for name, room in rooms.items()
        for one in sorted(room.imports)
        if not any(one in below(other) for other in room.imports - {one})
    ]


def imported_rooms(tree: ast.Module) -> set[str]:
    """Rooms that a file imports from, inside functions, too."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{PACKAGE}.{alias.name}" for alias in node.names] if node.module == PACKAGE else [node.module]
            names += inside
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}


def _room(path: Path) -> Room:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    trees = {file: ast.parse(file.read_text()) for file in files}
    said = ast.get_docstring(trees[path / "__init__.py" if path.is_dir() else path]) or ""
    imports = frozenset(room for tree in trees.values() for room in imported_rooms(tree))
    return Room(path.stem, said.split("\n")[0], imports - {path.stem})
