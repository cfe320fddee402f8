"""Names of topology rules."""

from __future__ import annotations

from typing import Any, TypeVar

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.rules.base import TopologyRule

RULES: dict[str, type[TopologyRule]] = {}

Rule = TypeVar("Rule", bound=type[TopologyRule])


def register(name: str, rule: Rule) -> Rule:
    """Make a rule available as ``topology=name``.

    Raises:
        ConfigurationError: when another rule has the name.
    """
    if RULES.setdefault(name, rule) is not rule:
        raise ConfigurationError(f"A topology rule named {name!r} is registered already: {RULES[name].__name__}.")
    return rule


def make_rule(name: str, **options: Any) -> TopologyRule:
    """The rule of that name with its own options."""
    if name not in RULES:
        raise unknown("topology", name, RULES)
    try:
        return RULES[name](**options)
    except TypeError as error:
        raise ConfigurationError(f"topology={name!r} does not take these options: {error}.") from None
