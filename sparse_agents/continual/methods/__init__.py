"""One file for every method, and their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sparse_agents.continual.companions import COMPANIONS, Companion
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods.afaf import AFAF
from sparse_agents.continual.methods.derpp import DERpp
from sparse_agents.continual.methods.er import ER
from sparse_agents.continual.methods.ewc import EWC
from sparse_agents.continual.methods.finetune import FineTuning
from sparse_agents.continual.methods.joint import Joint
from sparse_agents.continual.methods.packnet import PackNet
from sparse_agents.continual.methods.si import SI
from sparse_agents.continual.methods.single import Single
from sparse_agents.continual.methods.spacenet import SpaceNet, StaticSpaceNet
from sparse_agents.continual.methods.wsn import WSN
from sparse_agents.errors import ConfigurationError, unknown

METHODS: Mapping[str, type[ContinualMethod]] = {
    "afaf": AFAF,
    "der++": DERpp,
    "er": ER,
    "ewc": EWC,
    "finetune": FineTuning,
    "joint": Joint,
    "packnet": PackNet,
    "si": SI,
    "single": Single,
    "spacenet": SpaceNet,
    "static": StaticSpaceNet,
    "wsn": WSN,
}


def find_method(name: str) -> type[ContinualMethod]:
    """Raises ConfigurationError, with close matches, where there is none of that name."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def make_method(
    name: str, learner: Learner, tasks: int, seed: int, companion: str | None = None, **options: Any
) -> ContinualMethod:
    """The method of that name, with its own options.

    Args:
        name: one of ``METHODS``.
        learner: whose networks it looks after.
        tasks: how many there will be.
        seed: of what it draws.
        companion: one of ``COMPANIONS``, which goes along; its options are as the method's, its name before them:
            ``redo_interval``.
        **options: the method's.

    Raises:
        ConfigurationError: for an unknown method or option, or one that does not fit the learner.
    """
    method = find_method(name)
    prefix = f"{companion}_"
    beside = {option.removeprefix(prefix): value for option, value in options.items() if option.startswith(prefix)}
    own = {option: value for option, value in options.items() if not option.startswith(prefix)}
    _check_options(f"method {name!r}", method, ContinualMethod, own)
    if method.no_agents and not learner.labelled:
        raise ConfigurationError(f"Method {name!r} cannot train agents: {method.no_agents}.")
    made = method(learner, tasks, seed=seed, **own)
    if companion is not None:
        if companion not in COMPANIONS:
            raise unknown("companion", companion, COMPANIONS)
        kind = COMPANIONS[companion]
        _check_options(f"companion {companion!r}", kind, Companion, beside)
        made.companion = kind(learner.networks, made.gates, made.generator, **beside)
    return made


def _check_options(whose: str, kind: type, base: type, options: Mapping[str, Any]) -> None:
    known = {name: kinds for parent in reversed(kind.__mro__) for name, kinds in _options(parent, base).items()}
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of {whose}", option, known)
        if not any(_KINDS[one](value) for one in known[option].split(" | ")):
            raise ConfigurationError(f"Option {option} of {whose} is {known[option]}, not {value!r}.")


def _options(kind: type, base: type) -> dict[str, str]:
    """Those that a class itself declares, and what their values are."""
    if kind is base or not issubclass(kind, base) or "__init__" not in vars(kind):
        return {}
    parameters = inspect.signature(vars(kind)["__init__"]).parameters.values()
    return {p.name: str(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: _is_number(value) and isinstance(value, int),
    "float": _is_number,
    "str": lambda value: isinstance(value, str),
    "Sequence[float]": lambda value: isinstance(value, list | tuple) and all(map(_is_number, value)),
}
"""Whether a value is one, by how annotations say it."""
