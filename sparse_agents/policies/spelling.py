"""Names of keyword arguments, and what was meant by one that nobody takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any

from sparse_agents.errors import unknown

_OTHERS = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def keywords(kind: type) -> dict[str, Any]:
    """What the constructor of a class takes, and of its bases as far as it hands on what it is given: defaults by
    name, ``inspect.Parameter.empty`` where there is none. ``self`` and names with an underscore are left out.
    """
    found: dict[str, Any] = {}
    for maker in (vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)):
        parameters = inspect.signature(maker).parameters.values()
        for one in parameters:
            if one.name != "self" and not one.name.startswith("_") and one.kind not in _OTHERS:
                found.setdefault(one.name, one.default)
        if all(one.kind != inspect.Parameter.VAR_KEYWORD for one in parameters):
            break
    return found


def check_spelling(given: Iterable[str], ours: Iterable[str], theirs: Iterable[str]) -> None:
    """That an option which is not known is not nearly one that is.

    Args:
        given: names of options.
        ours: options that are added to a policy.
        theirs: what the policy takes without them.

    Raises:
        ConfigurationError: with what may have been meant. What resembles nothing is left to the policy.
    """
    ours, known = list(ours), {*ours, *theirs}
    for name in given:
        if name not in known and (close := difflib.get_close_matches(name, known)):
            raise unknown("option", name, ours if set(close) & set(ours) else known)
