"""The page of algorithms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stable_baselines3 import SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from sparse_agents.algorithms import DSSAC, DSTD3
from sparse_agents.catalogue.entries import Entry
from sparse_agents.catalogue.support import support_table
from sparse_agents.catalogue.tables import table, title

OWN: Mapping[type[BaseAlgorithm], type[BaseAlgorithm]] = {DSTD3: TD3, DSSAC: SAC}
"""Those that this library adds, and whose keywords they take besides their own."""
HEAD = """\
# Catalogue of algorithms

Whatever Stable-Baselines3 and sb3-contrib have trains sparse policies. The classes are in `sparse_agents.policies`;
[Algorithms and policies](../algorithms.md) says which layers become sparse, and what it brings.
"""


def algorithms_page() -> str:
    """Markdown: the table of policies, and a section for each algorithm of our own."""
    own = ["\n".join(_algorithm(kind, dense)) for kind, dense in OWN.items()]
    return "\n".join([HEAD, support_table(), *own])


def _algorithm(kind: type[BaseAlgorithm], dense: type[BaseAlgorithm]) -> Iterator[str]:
    entry = Entry.of(kind.__name__, kind, dense)
    yield from title(entry, kind)
    yield from table(entry)
