"""Pruning that conserves synaptic flow, without data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.ops import reference
from sparse_agents.rules.pruning import OneShotRule
from sparse_agents.rules.scores import largest_of_all
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Edges


class SynFlow(OneShotRule):
    """Keep the connections that carry the most flow from inputs to outputs, in many small rounds.

    Tanaka, Kunin, Yamins, Ganguli, "Pruning neural networks without any data by iteratively conserving synaptic
    flow", NeurIPS 2020, algorithm 1: with R = 1ᵀ(Π|W_l|)1, the score of a connection is |w · ∂R/∂w|; round k of n
    keeps the fraction ρ^(k/n) over all layers, which avoids cutting a layer through.

    Differences from the authors' code: R is the paper's, a product of matrices, where theirs is a forward of the
    network with absolute parameters, biases included.

    Args:
        rounds: n.
    """

    blocks = False
    convolutions = False

    def __init__(self, rounds: int = 100) -> None:
        super().__init__()
        if rounds < 1:
            raise ConfigurationError(f"rounds={rounds}: at least 1.")
        self.rounds = rounds

    def observe(self, update: Update) -> None:
        """No data is looked at."""

    def score(self, layer: LayerView) -> Tensor:
        return layer.memory.slots["flow"]

    def scores(self, update: Update) -> list[Tensor]:
        """The flow that is left after all rounds but the last; nothing of what an earlier round removed."""
        layers = update.layers
        weights = [layer.weight.abs() for layer in layers]
        total = sum(layer.edges.nnz for layer in layers)
        density = sum(layer.budget for layer in layers) / total
        flow = flows(update, weights)
        for k in range(1, self.rounds):
            kept = largest_of_all(flow, round(total * density ** (k / self.rounds)))
            for i, slots in enumerate(kept):
                mask = torch.zeros_like(weights[i])
                mask[slots] = 1
                weights[i] = weights[i] * mask
            flow = flows(update, weights)
        # Scores of zero are of removed connections and of those nothing flows through: prefer the latter.
        return [f.where(w > 0, torch.full_like(f, -1.0)) for f, w in zip(flow, weights, strict=True)]


def flows(update: Update, weights: Sequence[Tensor]) -> list[Tensor]:
    """w · ∂R/∂w for every connection, in float64, given the absolute weights of ``update.layers``."""
    index = {layer.name: i for i, layer in enumerate(update.layers)}
    if set(index) - {name for path in update.paths for name in path}:
        raise ConfigurationError(
            "topology='synflow' follows the network from inputs to outputs, and this network's layers do not form a "
            "chain in the order they are registered. Name them in `paths`, or use 'snip' or 'magnitude'."
        )
    flow = [torch.zeros_like(w, dtype=torch.float64) for w in weights]
    for path in update.paths:
        steps = [
            _Sparse(update.layers[index[name]].edges, weights[index[name]].double())
            if name in index
            else _Full(update.fixed[name].abs().double())
            for name in path
        ]
        if any(first.shape[0] != second.shape[1] for first, second in pairwise(steps)):
            raise ConfigurationError(
                f"topology='synflow' multiplies the matrices of {', '.join(path)}, and these do not fit: "
                "convolutions and LSTMs are not one matrix. Leave them dense with `exclude`, or use another rule."
            )
        above = [flow[0].new_ones(steps[-1].shape[0])]
        for step in reversed(steps[1:]):
            above.insert(0, step.back(above[0]))
        below = flow[0].new_ones(steps[0].shape[1])
        for name, step, back in zip(path, steps, above, strict=True):
            if isinstance(step, _Sparse):
                flow[index[name]] += step.weight * below[step.edges.col.long()] * back[step.edges.row]
            below = step.forward(below)
    return flow


class _Sparse:
    """A matrix given by its connections."""

    def __init__(self, edges: Edges, weight: Tensor) -> None:
        self.edges, self.weight, self.shape = edges, weight, edges.shape

    def forward(self, x: Tensor) -> Tensor:
        return reference.matmul(self.edges, self.weight, x.unsqueeze(1)).squeeze(1)

    def back(self, y: Tensor) -> Tensor:
        return reference.transposed_matmul(self.edges, self.weight, y.unsqueeze(1)).squeeze(1)


class _Full:
    """A dense matrix."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.shape = matrix, matrix.shape

    def forward(self, x: Tensor) -> Tensor:
        return self.matrix @ x

    def back(self, y: Tensor) -> Tensor:
        return self.matrix.t() @ y
