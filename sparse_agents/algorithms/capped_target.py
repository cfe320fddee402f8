"""Target networks with connections of their own, as DS-TD3's reference code keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from stable_baselines3.common.utils import polyak_update
from torch import Tensor, nn

from sparse_agents.nn import SparseLayer, sparse_layers
from sparse_agents.topology import Edges, ascending, different


class CappedTargets:
    """Polyak averaging between networks whose connections differ.

    After ``target = τ·online + (1 − τ)·target`` a target layer has the connections of both. Where it
    then has more non-zero weights than the online layer, its smallest by magnitude are cut, as
    ``update_target_networks`` of the authors' code does (Sokar et al. 2022, section 4.2, "Maintaining the
    sparsity of target networks"). A connection dropped online thus fades from the target instead of
    vanishing at once.

    Args:
        networks: online module to target module, of the same layers.
    """

    def __init__(self, networks: Mapping[nn.Module, nn.Module]) -> None:
        self._sparse: list[tuple[SparseLayer, SparseLayer]] = []
        online_rest: list[Tensor] = []
        target_rest: list[Tensor] = []
        for online, target in networks.items():
            pairs = list(zip(sparse_layers(online).values(), sparse_layers(target).values(), strict=True))
            self._sparse += pairs
            online_rest += _others(online, (layer for layer, _ in pairs))
            target_rest += _others(target, (layer for _, layer in pairs))
        self._rest = (online_rest, target_rest)

    @torch.no_grad()
    def update(self, tau: float) -> None:
        """One soft update of every target."""
        polyak_update(*self._rest, tau)
        for online, target in self._sparse:
            edges, weight = average(
                online.topology.edges, online.weight.data, target.topology.edges, target.weight.data, tau
            )
            target.topology.replace(edges)
            target.weight.data = weight


def _others(module: nn.Module, sparse: Iterable[SparseLayer]) -> list[Tensor]:
    """Parameters but the sparse weights: biases and dense layers."""
    excluded = {id(layer.weight) for layer in sparse}
    return [p for p in module.parameters() if id(p) not in excluded]


def average(online: Edges, weight: Tensor, target: Edges, old: Tensor, tau: float) -> tuple[Edges, Tensor]:
    """``τ·weight + (1 − τ)·old`` over the connections of both, cut to as many as ``online`` has.

    Returns:
        The target's new edges, ``online.nnz`` of them, and their values. Where ``online`` holds weights of
        exactly zero (just grown), as many of the target's smallest are zero too: the reference counts
        non-zero values.
    """
    if online.same_as(target):
        return target, tau * weight + (1 - tau) * old
    ids = different(torch.cat([online.ids, target.ids]))
    values = torch.zeros(len(ids), dtype=weight.dtype, device=weight.device)
    values[torch.searchsorted(ids, target.ids)] = (1 - tau) * old
    values[torch.searchsorted(ids, online.ids)] += tau * weight
    order = values.abs().argsort(descending=True, stable=True)
    values[order[int(weight.count_nonzero()) :]] = 0.0
    kept = ascending(order[: online.nnz])
    return Edges.from_ids(ids[kept], online.shape), values[kept]
