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
    """What a layer has to hold in the end.

    Attributes:
        layer: its name.
        what: is counted, such as ``"connections"`` or ``"neurons"``.
        needed: how many all tasks together take for good.
        room: how many there are.
    """

    layer: str
    what: str
    needed: int
    room: int

    @property
    def fits(self) -> bool:
        return self.needed <= self.room


def demand_table(demands: Sequence[Demand], tasks: int) -> Table:
    """For people, before anything is trained."""
    table = Table("layer", "", "needed", "there are", title=f"what {tasks} tasks need")
    for column in table.columns[2:]:
        column.justify = "right"
    for demand in demands:
        table.add_row(demand.layer, demand.what, f"{demand.needed:,}", f"{demand.room:,}")
    return table


def check_room(demands: Sequence[Demand], tasks: int, mend: str) -> None:
    """Fail early.

    Raises:
        ConfigurationError: with what every layer has and needs, where one is too small for all tasks.
    """
    if all(demand.fits for demand in demands):
        return
    lines = [
        f"  {d.layer}: {d.needed:,} {d.what}, {'of which there are' if d.fits else 'but there are only'} {d.room:,}"
        for d in demands
    ]
    raise ConfigurationError("\n".join([f"{tasks} tasks do not fit into the network:", *lines, mend]))
