"""What a continual-learning method looks after: a chain of sparse layers under one optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from sparse_agents.control import carry_out
from sparse_agents.nn import DenseLayer, SparseLayer
from sparse_agents.topology import Rewire


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: such as ``"actor"``.
        trunk: hidden layers, from the input on.
        heads: output layers, all of them fed by the last hidden one.
        optimizer: which trains it.
        others: further parameters, such as those of norms.
        activations: modules that say what units of the trunk's layers say, by the layer's name.
        outlets: everything that is fed by the last hidden layer, whether a head or not.
        followers: layers elsewhere that share a layer's topology (target networks), by its name.
    """

    name: str
    trunk: Mapping[str, SparseLayer]
    heads: Mapping[str, SparseLayer]
    optimizer: torch.optim.Optimizer
    others: Mapping[str, nn.Parameter] = field(default_factory=dict)
    activations: Mapping[str, nn.Module] = field(default_factory=dict)
    outlets: Sequence[SparseLayer | DenseLayer] = ()
    followers: Mapping[str, Sequence[SparseLayer]] = field(default_factory=dict)

    @property
    def layers(self) -> dict[str, SparseLayer]:
        return {**self.trunk, **self.heads}

    def fed_by(self, name: str) -> Sequence[SparseLayer | DenseLayer]:
        """What reads a hidden layer's units."""
        names = list(self.trunk)
        place = names.index(name) + 1
        return [self.trunk[names[place]]] if place < len(names) else self.outlets

    def key(self, name: str) -> str:
        """Of a layer or parameter, among all networks."""
        return f"{self.name}/{name}"

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All that is trained, by name."""
        for name, layer in self.layers.items():
            yield f"{name}.weight", layer.weight
            if layer.bias is not None:
                yield f"{name}.bias", layer.bias
        yield from self.others.items()

    def rewire(self, name: str, rewire: Rewire) -> None:
        """Give a layer other connections; moments and target networks follow, new weights are 0."""
        carry_out(self.layers[name], rewire, self.followers.get(name, ()), [self.optimizer])
