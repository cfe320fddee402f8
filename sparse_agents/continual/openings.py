"""What a task may train of a network where tasks share it by connections."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sparse_agents.continual.network import Network


def openings(
    network: Network, weights: Mapping[str, Tensor], units: Tensor | None, others: bool
) -> dict[nn.Parameter, Tensor]:
    """Masks for a :class:`Gate`, of all parameters.

    Args:
        network: whose parameters they are.
        weights: bool ``[nnz]`` for layers of the trunk, and for output layers that tasks share, by key.
        units: the output units that are the task's own; None where tasks share them.
        others: whether biases and norms are open that tasks share.
    """
    masks: dict[nn.Parameter, Tensor] = {}
    for name, layer in network.layers.items():
        own = units if name in network.heads else None
        rows = torch.full((layer.topology.shape[0],), others, device=layer.weight.device)
        if own is not None:
            rows = torch.zeros_like(rows)
            rows[own] = True
        masks[layer.weight] = weights[network.key(name)] if own is None else rows[layer.topology.edges.row]
        if layer.bias is not None:
            masks[layer.bias] = rows
    return masks | {one: torch.full_like(one, others, dtype=torch.bool) for one in network.others.values()}
