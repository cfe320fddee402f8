"""One file for every method, and their names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods.er import ER
from sparse_agents.continual.methods.ewc import EWC
from sparse_agents.continual.methods.finetune import FineTuning
from sparse_agents.continual.methods.joint import Joint
from sparse_agents.continual.methods.packnet import PackNet
from sparse_agents.continual.methods.si import SI
from sparse_agents.continual.methods.single import Single
from sparse_agents.continual.methods.spacenet import SpaceNet, StaticSpaceNet
from sparse_agents.errors import ConfigurationError, unknown

METHODS: Mapping[str, type[ContinualMethod]] = {
    "er": ER,
    "ewc": EWC,
    "finetune": FineTuning,
    "joint": Joint,
    "packnet": PackNet,
    "si": SI,
    "single": Single,
    "spacenet": SpaceNet,
    "static": StaticSpaceNet,
}


def find_method(name: str) -> type[ContinualMethod]:
    """Raises ConfigurationError, with close matches, where there is none of that name."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def make_method(name: str, learner: Learner, tasks: int, seed: int, **options: Any) -> ContinualMethod:
    """The method of that name, with its own options.

    Raises:
        ConfigurationError: for an unknown method or option, or one that does not fit the learner.
    """
    method = find_method(name)
    known = [option for kind in method.__mro__ for option in _options(kind)]
    for option in options:
        if option not in known:
            raise unknown(f"option of method {name!r}", option, known)
    if method.no_agents and not learner.labelled:
        raise ConfigurationError(f"Method {name!r} cannot train agents: {method.no_agents}.")
    return method(learner, tasks, seed=seed, **options)


def _options(kind: type) -> list[str]:
    """Those that a class itself declares."""
    if kind is ContinualMethod or not issubclass(kind, ContinualMethod) or "__init__" not in vars(kind):
        return []
    parameters = inspect.signature(vars(kind)["__init__"]).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
