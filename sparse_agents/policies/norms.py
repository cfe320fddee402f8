"""LayerNorm in networks that were built without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from sparse_agents.errors import unknown
from sparse_agents.nn import Normalised
from sparse_agents.policies.parts import Part


def add_norms(policy: nn.Module, parts: Iterable[Part], targets: Mapping[str, str], networks: Sequence[str]) -> None:
    """Put LayerNorm between the hidden layers of some networks and their activations, in place.

    Args:
        policy: that has them.
        parts: its parts.
        targets: names of its networks and of their target networks, which are treated alike.
        networks: those to be normalised, as parts call them.

    Raises:
        ConfigurationError: for a network there is none of.
    """
    parts = list(parts)
    for network in networks:
        if network not in (names := {part.network for part in parts}):
            raise unknown("network in layer_norm", network, names)
    for part in (part for part in parts if part.network in networks):
        for name, units in part.hidden_units().items():
            for place in (name, *_followers(name, targets)):
                parent, _, own = place.rpartition(".")
                setattr(policy.get_submodule(parent), own, Normalised(units, policy.get_submodule(place)))


def _followers(name: str, targets: Mapping[str, str]) -> list[str]:
    """The same place in target networks."""
    return [target + name.removeprefix(online) for online, target in targets.items() if name.startswith(f"{online}.")]
