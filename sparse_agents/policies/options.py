"""What sparse policies are told besides what their dense ones take."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from sparse_agents.errors import ConfigurationError
from sparse_agents.policies.spelling import check_spelling, keywords
from sparse_agents.topology import Distribution


def sparse_options(
    sparsity: float | Mapping[str, float] | None = 0.9,
    topology: str | None = None,
    topology_kwargs: Mapping[str, Any] | None = None,
    distribution: Distribution = "erk",
    actor_share: float | None = None,
    lambdas: Sequence[float] = (),
    dense_output: bool = False,
    weight_init: str = "scaled",
    initial_topology: str = "rule",
    include: Sequence[str] = ("*",),
    exclude: Sequence[str] = (),
    backend: str = "auto",
    layer_norm: Sequence[str] | None = None,
    weight_decay: float | Mapping[str, float] | None = None,
    learning_rate_scale: float | str | Mapping[str, float | str] | None = None,
    share_topology: bool = True,
    topology_defaults: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All of them, as they are by default or given; :class:`SparsePolicyMixin` says what they mean.

    Raises:
        ConfigurationError: for what is of another kind than it has to be.
    """
    for name, listed in (("include", include), ("exclude", exclude), ("layer_norm", layer_norm)):
        if isinstance(listed, str):
            raise ConfigurationError(f"{name}={listed!r} is one name: give a list, [{listed!r}].")
    for name, choice in (("dense_output", dense_output), ("share_topology", share_topology)):
        if not isinstance(choice, bool):
            raise ConfigurationError(f"{name}={choice!r} is neither True nor False.")
    if not isinstance(topology_kwargs or {}, Mapping):
        raise ConfigurationError(f"topology_kwargs={topology_kwargs!r} is not a dictionary.")
    return {
        "sparsity": sparsity,
        "topology": topology,
        "topology_kwargs": dict(topology_kwargs or {}),
        "distribution": distribution if isinstance(distribution, str) else dict(distribution),
        "actor_share": actor_share,
        "lambdas": tuple(lambdas),
        "dense_output": dense_output,
        "weight_init": weight_init,
        "initial_topology": initial_topology,
        "include": tuple(include),
        "exclude": tuple(exclude),
        "backend": backend,
        "layer_norm": None if layer_norm is None else tuple(layer_norm),
        "weight_decay": weight_decay,
        "learning_rate_scale": learning_rate_scale,
        "share_topology": share_topology,
        "topology_defaults": dict(topology_defaults or {}),
    }


OPTIONS = tuple(inspect.signature(sparse_options).parameters)
"""Their names."""


def divide(given: Mapping[str, Any], dense: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keyword arguments of a sparse policy: its own options, and what the dense policy is given.

    Raises:
        ConfigurationError: for an option that is misspelt, or of another kind than it has to be.
    """
    theirs = {name: value for name, value in given.items() if name not in OPTIONS}
    check_spelling(theirs, OPTIONS, keywords(dense))
    return sparse_options(**{name: given[name] for name in OPTIONS if name in given}), theirs
