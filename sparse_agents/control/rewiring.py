"""Give a layer other connections, with everything that is indexed by connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sparse_agents.control.optimizer_state import map_moments
from sparse_agents.nn import SparseLayer
from sparse_agents.topology import Rewire


def carry_out(
    layer: SparseLayer,
    rewire: Rewire,
    followers: Iterable[SparseLayer],
    optimizers: Sequence[torch.optim.Optimizer],
    grown: Tensor | float = 0.0,
) -> None:
    """Weights that stay keep their values and moments.

    Args:
        layer: whose topology is updated.
        rewire: from the edges it has.
        followers: layers that share the topology (target networks).
        optimizers: all that hold a weight of these.
        grown: the layer's new weights, ``[grown]`` in the order of slots; those of followers are 0.
    """
    for one in (layer, *followers):
        old_shape = one.weight.shape
        one.replace_weight(rewire.carry(one.weight.data))
        for optimizer in optimizers:
            map_moments(optimizer, one.weight, old_shape, rewire.carry)
    layer.weight.data[rewire.source < 0] = grown
    layer.topology.replace(rewire.edges)
