"""The one exception family: what is wrong with the input, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MANY = 40
"""More names than anybody reads through."""


class SparseAgentsError(Exception):
    """What a user can mend; the commands print it and exit with 2."""


class ConfigurationError(SparseAgentsError, ValueError):
    """A setting that cannot work; the message names it, its value and the mend."""


class CheckpointError(SparseAgentsError):
    """A saved file that is damaged, truncated or not ours.

    Not a ValueError: Stable-Baselines3's ``load`` takes those for files of its own older versions.
    """


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigurationError:
    """An unknown name, with the close matches first and then everything there is, unless that is very much."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3)
    hint = f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
    shown = [repr(n) if "," in n else n for n in names]
    rest = "" if close and len(shown) > MANY else f" Available: {', '.join(shown)}."
    return ConfigurationError(f"Unknown {kind} {name!r}.{hint}{rest}")
