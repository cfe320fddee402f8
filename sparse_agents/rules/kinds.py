"""Whether the value of an option is of the kind that its annotation says."""

from __future__ import annotations

import math
from typing import Any

from sparse_agents.errors import ConfigurationError


def check_kind(option: str, value: object, annotation: Any) -> None:
    """Of ``int``, ``float``, ``bool`` and ``str``, which may be given as text; other annotations pass everything.

    Raises:
        ConfigurationError: naming the option, its value and what it should be.
    """
    kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    wanted = {
        "int": ("a whole number", isinstance(number, int)),
        "float": ("a finite number", number is not None and math.isfinite(number)),
        "bool": ("True or False", isinstance(value, bool)),
        "str": ("a name", isinstance(value, str)),
    }.get(kind)
    if wanted is not None and not wanted[1]:
        raise ConfigurationError(f"{option}={value!r} is not {wanted[0]}.")
