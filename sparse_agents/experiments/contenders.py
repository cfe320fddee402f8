"""Every rule with its published settings, and the variants that papers report beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparse_agents.rules import RULES, make_rule


@dataclass(frozen=True)
class Contender:
    """A rule with options of its own.

    Attributes:
        name: in tables.
        topology: the rule; None for a dense network.
        options: the rule's own.
    """

    name: str
    topology: str | None
    options: Mapping[str, Any] = field(default_factory=dict)

    def topology_kwargs(self, interval: int, steps: int) -> dict[str, Any]:
        """For a short run: the published drop fraction and annealing, an update every ``interval`` steps up to three
        quarters of ``steps``, or at every step where that is published.
        """
        if self.topology is None or not make_rule(self.topology, **self.options).dynamic:
            return dict(self.options)
        published = RULES[self.topology].published
        if not published:  # decides once, and when is not for us to say
            return dict(self.options)
        timing = {"update_interval": 1 if published["update_interval"] == 1 else interval, "end": 3 * steps // 4}
        return {**published, **timing, **self.options}


_GROUPS = {"m": 64}
"""Of N:M: divides every width of the problems, and leaves 98% something to choose."""
_OPTIONS: dict[str, Mapping[str, Any]] = {"snip": {"scope": "global"}, "grasp": {"scope": "global"}, "nm": _GROUPS}
"""As published, where policies have another default, or none that fits."""
_VARIANTS = (
    Contender("snip, by layer", "snip", {"scope": "layer"}),
    Contender("mest, soft bound", "mest", {"soft": True}),
    Contender("ctre, seq", "ctre", {"variant": "seq", "random_after": 10}),
    Contender("nm, static", "nm", {"dynamic": False, **_GROUPS}),
)
_RULES = (Contender(name, name, _OPTIONS.get(name, {})) for name in RULES)

CONTENDERS: dict[str, Contender] = {
    contender.name: contender for contender in (Contender("dense", None), *_RULES, *_VARIANTS)
}
