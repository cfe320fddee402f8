"""Names of topology rules."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.rules.base import TopologyRule
from sparse_agents.rules.blocked import Blocked, block_shape
from sparse_agents.rules.kinds import check_kind
from sparse_agents.topology import Schedule

SCHEDULE_OPTIONS = tuple(f.name for f in fields(Schedule))
"""Of ``topology_kwargs``, those that are the schedule's."""
RULES: dict[str, type[TopologyRule]] = {}

Rule = TypeVar("Rule", bound=TopologyRule)


def register(name: str, rule: type[Rule]) -> type[Rule]:
    """Make a rule available as ``topology=name``. The same class defined again, as in a notebook, replaces itself.

    Raises:
        ConfigurationError: when another rule has the name, or it is no rule.
    """
    if not (isinstance(rule, type) and issubclass(rule, TopologyRule)):
        raise ConfigurationError(
            f"register({name!r}, {rule!r}): give a class derived from TopologyRule or ExchangeRule."
        )
    if inspect.isabstract(rule):
        missing = ", ".join(f"{method}()" for method in sorted(rule.__abstractmethods__))
        raise ConfigurationError(f"register({name!r}, {rule.__name__}): it lacks {missing}.")
    other = RULES.setdefault(name, rule)
    if (other.__module__, other.__qualname__) != (rule.__module__, rule.__qualname__):
        raise ConfigurationError(f"A topology rule named {name!r} is registered already: {RULES[name].__name__}.")
    RULES[name] = rule
    return rule


def rule_class(name: str) -> type[TopologyRule]:
    """What is registered under a name.

    Raises:
        ConfigurationError: nothing is.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"topology={name!r} is not a name. Give the rule one: register('my_rule', MyRule).")
    if name not in RULES:
        raise unknown("topology", name, RULES)
    return RULES[name]


def make_rule(
    name: str, *, block_size: int | Sequence[int] | str | None = None, **options: Any
) -> TopologyRule:  # fmt: skip
    """The rule of that name with its own options, over blocks where a ``block_size`` is given.

    Args:
        name: one of ``RULES``.
        block_size: ``4``: blocks of four units that share an input; ``(r, c)``: r units by c inputs; ``"unit"``: all
            inputs of a unit, which comes or goes as a whole.
        options: the rule's own.

    Raises:
        ConfigurationError: unknown rule or option, or a rule that cannot work on blocks.
    """
    kind = rule_class(name)
    known = inspect.signature(kind).parameters
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option for topology={name!r}", option, [*known, "block_size", *SCHEDULE_OPTIONS])
        check_kind(option, value, known[option].annotation)
    rule = kind(**options)
    return rule if block_size is None else Blocked(rule, block_shape(block_size))
