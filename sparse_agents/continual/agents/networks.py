"""The networks of a policy, as methods look after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from sparse_agents.continual.network import Network
from sparse_agents.errors import unknown
from sparse_agents.nn import SparseLayer, sparse_layers
from sparse_agents.policies import SparsePolicyMixin


def networks_of_policy(
    policy: SparsePolicyMixin, which: Sequence[str], own_heads: bool
) -> tuple[dict[str, Network], dict[str, nn.Parameter]]:
    """Those to look after, and the parameters that every task has of its own.

    Args:
        policy: a sparse one.
        which: ``"actor"``, ``"critic"``, ``"q_net"``, as ``sparsity`` names networks; what a policy does not have is
            passed over, but one it must have.
        own_heads: whether output layers are each task's own; networks are then without them.
    """
    assert isinstance(policy, nn.Module)
    parts = [part for part in policy.parts() if part.network in which]
    if not parts:
        raise unknown("network", which[0], {part.network for part in policy.parts()})
    optimizers = policy.optimizers()
    found: dict[str, Network] = {}
    heads: dict[str, nn.Parameter] = {}
    everywhere = sparse_layers(policy)
    for part in parts:
        layers = {name: layer for name, layer in part.layers().items() if isinstance(layer, SparseLayer)}
        trunk = {name: layer for name, layer in layers.items() if name not in part.outputs}
        outputs = {name: layer for name, layer in layers.items() if name in part.outputs}
        if own_heads:
            for name, layer in outputs.items():
                heads |= {f"{name}.{kind}": parameter for kind, parameter in layer.named_parameters()}
        followers: dict[str, list[Any]] = {
            name: [other for other in everywhere.values() if other is not layer and other.topology is layer.topology]
            for name, layer in layers.items()
        }
        optimizer = optimizers[part.optimizer]
        assert optimizer is not None
        name = part.network if part.network not in found else f"{part.network}_{len(found)}"
        found[name] = Network(name, trunk, {} if own_heads else outputs, optimizer, {}, followers)
    return found, heads
