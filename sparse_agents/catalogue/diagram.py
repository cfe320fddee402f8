"""The picture of the architecture page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from html import escape
from itertools import chain

from sparse_agents.catalogue.imports import Room, floors, stairs

WIDTH, HEIGHT = 260, 60
"""Of a room, in pixels."""
GAP, STEP = 30, 44
"""Between rooms of a floor, and between floors."""
STYLE = """\
<style>
  rect { fill: #eef2ff; stroke: #5c6bc0; }
  path { stroke: #9aa4c8; stroke-width: 1.5; fill: none; }
  text { font: 11px sans-serif; fill: #333; text-anchor: middle; }
  .name { font: bold 14px monospace; fill: #1a237e; }
</style>"""


def diagram(rooms: Mapping[str, Room]) -> str:
    """SVG: rooms by floors, the ground at the bottom, with a line to what each is built on."""
    storeys = floors(rooms)
    across = max(map(len, storeys)) * (WIDTH + GAP) + GAP
    down = len(storeys) * (HEIGHT + STEP) + STEP
    places = {
        name: (across / 2 + (place - (len(names) - 1) / 2) * (WIDTH + GAP), down - (floor + 1) * (HEIGHT + STEP))
        for floor, names in enumerate(storeys)
        for place, name in enumerate(names)
    }
    lines = (_line(places[upper], places[lower]) for upper, lower in stairs(rooms))
    boxes = chain.from_iterable(_box(rooms[name], *place) for name, place in places.items())
    size = f'viewBox="0 0 {across} {down}" width="{across}" height="{down}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    ground = f'<rect width="{across}" height="{down}" style="fill: white; stroke: none"/>'
    return "\n".join([head, STYLE, ground, *lines, *boxes, "</svg>\n"])


def _line(upper: tuple[float, float], lower: tuple[float, float]) -> str:
    (x, top), (to, y) = upper, lower
    bottom = top + HEIGHT
    return f'<path d="M{x:g} {bottom:g} C{x:g} {bottom + STEP:g} {to:g} {y - STEP:g} {to:g} {y:g}"/>'


def _box(room: Room, x: float, y: float) -> Iterator[str]:
    yield f'<rect x="{x - WIDTH / 2:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
    yield f'<text class="name" x="{x:g}" y="{y + 18:g}">{escape(room.name)}</text>'
    said = room.summary.replace("``", "").split(". ")[0].rstrip(".")
    for line, words in enumerate(textwrap.wrap(said, 42, max_lines=2, placeholder=" …")):
        yield f'<text x="{x:g}" y="{y + 35 + 14 * line:g}">{escape(words)}</text>'
