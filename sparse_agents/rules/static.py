"""A random topology that stays."""

from __future__ import annotations

from collections.abc import Sequence

from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.view import Update
from sparse_agents.topology import Rewire


class Static(TopologyRule):
    """Sparse from the start, never rewired: the baseline every dynamic rule has to beat."""

    dynamic = False
    blocks = True

    def update(self, update: Update) -> Sequence[Rewire | None]:
        return [None] * len(update.layers)
