"""Weight decay, which sparse networks are given where the user says nothing of the optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from sparse_agents.policies.parts import Part


def decay_sparse_networks(parts: Iterable[Part], optimizer: torch.optim.Optimizer | None, weight_decay: float) -> None:
    """Have Adam decay the weights of networks that lack connections, in place; dense ones stay as they are.

    Args:
        parts: what the optimizer trains.
        optimizer: any; of another kind than Adam it is left alone, for its decay is another.
        weight_decay: the factor of the weights that is added to their gradients.
    """
    sparse = any(present < dense for present, dense in (part.weights() for part in parts))
    if sparse and optimizer is not None and type(optimizer) is torch.optim.Adam:
        for group in optimizer.param_groups:
            group["weight_decay"] = weight_decay
