"""Settings that may differ from network to network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.topology import Distribution


def network_sparsities(
    sizes: Mapping[str, int], sparsity: float | Mapping[str, float] | None, actor_share: float | None,
    distribution: Distribution,
) -> dict[str, float | None]:  # fmt: skip
    """Of each network.

    Args:
        sizes: weights that are counted, by network.
        sparsity: of each, or by network; with ``actor_share`` of all together.
        actor_share: the actor's part of all connections.
        distribution: over layers.

    Raises:
        ConfigurationError: where they contradict each other.
    """
    if actor_share is None:
        return {name: by_network(sparsity, "sparsity", name, sizes) for name in sizes}
    if not isinstance(distribution, str):
        raise ConfigurationError("actor_share and a distribution by layer name both say what each network gets.")
    if {*sizes} != {"actor", "critic"} or not isinstance(sparsity, int | float) or not 0 < actor_share < 1:
        raise ConfigurationError(
            f"actor_share={actor_share} with sparsity={sparsity}: a share in (0, 1) of what one sparsity leaves of an "
            "actor and its critics together."
        )
    connections = (1 - sparsity) * sum(sizes.values())
    actor = min(actor_share * connections, sizes["actor"])
    if connections - actor > sizes["critic"]:
        raise ConfigurationError(
            f"actor_share={actor_share} leaves the critics more connections than they can have at sparsity={sparsity}. "
            "Raise it, or the sparsity."
        )
    return {"actor": 1 - actor / sizes["actor"], "critic": 1 - (connections - actor) / sizes["critic"]}


def by_network(value: Any, option: str, network: str, networks: Mapping[str, Any]) -> Any:
    """A setting given once, or once per network."""
    if not isinstance(value, Mapping):
        return value
    for name in value:
        if name not in networks:
            raise unknown(f"network in {option}", name, networks)
    if network not in value:
        raise ConfigurationError(f"{option} names {', '.join(value)} but not {network!r}. Give every network a value.")
    return value[network]
