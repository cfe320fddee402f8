"""Rooms, floors and stairs of a package made up for it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sparse_agents.catalogue.diagram import diagram
from sparse_agents.catalogue.imports import Room, floors, read_rooms, stairs


@pytest.fixture
def rooms(tmp_path: Path) -> dict[str, Room]:
    files = {
        "package/__init__.py": "from sparse_agents.top import x",
        "package/low.py": '"""The ground.\n\nMore."""',
        "package/middle/__init__.py": '"""Between <them>."""\nfrom sparse_agents.low import x',
        "package/middle/inner/deep.py": "def f():\n    import sparse_agents.envs.tasks",
        "package/top/__init__.py": '"""Above."""',
        "package/top/one.py": "from sparse_agents import low, middle\nfrom sparse_agents.top.two import y",
        "envs/__init__.py": '"""Worlds."""',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return dict(read_rooms(tmp_path / "package", tmp_path / "envs"))


def test_rooms_import_what_their_files_import(rooms: dict[str, Room]) -> None:
    assert {name: set(room.imports) for name, room in rooms.items()} == {
        "low": set(), "envs": set(), "middle": {"low", "envs"}, "top": {"low", "middle"},
    }  # fmt: skip
    assert rooms["low"].summary == "The ground."


def test_a_room_is_as_low_as_it_can_be(rooms: dict[str, Room]) -> None:
    assert [set(floor) for floor in floors(rooms)] == [{"low", "envs"}, {"middle"}, {"top"}]


def test_stairs_are_what_other_imports_do_not_imply(rooms: dict[str, Room]) -> None:
    assert set(stairs(rooms)) == {("middle", "low"), ("middle", "envs"), ("top", "middle")}


def test_the_picture_has_every_room_and_stair(rooms: dict[str, Room]) -> None:
    picture = ET.fromstring(diagram(rooms))
    space = "{http://www.w3.org/2000/svg}"
    assert {text.text for text in picture.iter(f"{space}text")} >= {*rooms, "Between <them>"}
    assert len(list(picture.iter(f"{space}path"))) == 3
