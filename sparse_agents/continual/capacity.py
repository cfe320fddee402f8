"""How much of a network is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from sparse_agents.errors import ConfigurationError


@dataclass(frozen=True)
class LayerCapacity:
    """Connections of a layer, counted.

    Attributes:
        possible: of the dense layer.
        free: that later tasks may take.
        frozen: that no later task may change.
        shared: in use by more than one task.
    """

    possible: int
    free: int
    frozen: int
    shared: int


Capacity = Mapping[str, LayerCapacity]
"""By layer."""


def capacity_table(capacity: Capacity) -> Table:
    """For people."""
    table = Table("layer", "possible", "free", "frozen", "shared", title="connections")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, layer in capacity.items():
        table.add_row(name, *(f"{n:,}" for n in (layer.possible, layer.free, layer.frozen, layer.shared)))
    return table


@dataclass(frozen=True)
class Demand:
    """What a layer has to hold.

    Attributes:
        layer: its name.
        what: is counted, such as ``"connections"`` or ``"neurons"``.
        per_task: how many every task takes for good.
        room: how many there are.
    """

    layer: str
    what: str
    per_task: int
    room: int

    def fits(self, tasks: int) -> bool:
        return self.per_task * tasks <= self.room


def check_room(demands: Sequence[Demand], tasks: int, mend: str) -> None:
    """Fail early.

    Raises:
        ConfigurationError: with what every layer has and needs, where one is too small for all tasks.
    """
    if all(demand.fits(tasks) for demand in demands):
        return
    lines = [
        f"  {d.layer}: {tasks} × {d.per_task:,} = {tasks * d.per_task:,} {d.what}, "
        f"{'of which there are' if d.fits(tasks) else 'but there are only'} {d.room:,}"
        for d in demands
    ]
    raise ConfigurationError("\n".join([f"{tasks} tasks do not fit into the network:", *lines, mend]))
