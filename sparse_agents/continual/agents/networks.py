"""The networks of a policy, as methods look after them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sparse_agents.continual.network import Network
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.nn import SparseLayer, sparse_layers
from sparse_agents.policies import SparsePolicyMixin

NETWORKS = ("actor", "critic", "q_net", "quantile_net")
"""That policies have."""


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
    for name in which:
        if name not in NETWORKS:
            raise unknown("network", name, NETWORKS)
    parts = [part for part in policy.parts() if part.network in which and part.layers()]
    if not parts:
        there = sorted({part.network for part in policy.parts()})
        raise ConfigurationError(
            f"Nothing to look after: the policy has {', '.join(there)}, and {', '.join(which) or 'nothing'} was named."
        )
    optimizers, everywhere = policy.optimizers(), sparse_layers(policy)
    loose = dict(policy.named_parameters(recurse=False))  # a state-independent standard deviation
    found: dict[str, Network] = {}
    own: dict[str, nn.Parameter] = {}
    for part in parts:
        parameters = {
            f"{root}.{name}": parameter for root, module in part.modules.items()
            for name, parameter in module.named_parameters()
        } | loose  # fmt: skip
        if own_heads:
            own |= {name: p for name, p in parameters.items() if name in loose or _layer(name) in part.outputs}
        layers = {name: layer for name, layer in part.layers().items() if isinstance(layer, SparseLayer)}
        outputs = {name: layer for name, layer in layers.items() if name in part.outputs and not own_heads}
        followers = {
            name: [other for other in everywhere.values() if other is not layer and other.topology is layer.topology]
            for name, layer in layers.items()
        }
        optimizer = optimizers[part.optimizer]
        assert optimizer is not None
        name = part.network if part.network not in found else f"{part.network}_{len(found)}"
        trunk = {name: layer for name, layer in layers.items() if name not in part.outputs}
        activations = list(part.hidden_activations().values())
        found[name] = Network(
            name,
            trunk=trunk,
            heads=outputs,
            optimizer=optimizer,
            others={n: p for n, p in parameters.items() if _layer(n) not in layers and n not in own},
            activations=dict(zip(trunk, activations, strict=True)) if len(activations) == len(trunk) else {},
            outlets=[layer for name, layer in part.layers().items() if name in part.outputs],
            followers=followers,
        )
        loose = {}
    return found, own


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0]
