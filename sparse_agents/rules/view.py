"""What a rule sees at an update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from sparse_agents.topology import Edges, Moment, Rewire


class DenseGradient(Protocol):
    """The gradient a layer would have if it were dense, a tile at a time; and the activations it was made from."""

    def tiles(self, multiple: int = 1) -> Iterator[tuple[int, Tensor]]:
        """``(first row, [rows, in_features])``, the number of rows a multiple but for the last tile."""
        ...

    def activations(self) -> tuple[Tensor, Tensor]:
        """Of inputs, ``[in_features, samples]``, and outputs, ``[out_features, samples]``."""
        ...


@dataclass
class Memory:
    """What a rule remembers between updates, saved with the policy.

    Attributes:
        slots: tensors ``[nnz]`` of one layer; they follow every rewiring, zero on new connections.
        other: tensors of any other shape; left alone.
    """

    slots: dict[str, Tensor] = field(default_factory=dict)
    other: dict[str, Tensor] = field(default_factory=dict)

    def follow(self, rewire: Rewire) -> None:
        self.slots = {name: rewire.follow(tensor) for name, tensor in self.slots.items()}

    def state(self) -> dict[str, dict[str, Tensor]]:
        return {"slots": dict(self.slots), "other": dict(self.other)}

    @classmethod
    def from_state(cls, state: Mapping[str, Mapping[str, Tensor]]) -> Memory:
        return cls(dict(state["slots"]), dict(state["other"]))


@dataclass(frozen=True)
class LayerView:
    """One layer at the moment of an update.

    Attributes:
        name: for messages.
        edges: its connections.
        weight: ``[nnz]``; a rule that adjusts weights writes into it.
        probe: the dense gradient of the last backward, for rules that need it.
        generator: the only source of randomness a rule may use.
        start: the number of connections it began with.
        budget: the number that its share of the sparsity leaves it.
        gradient: ``[nnz]`` of this step, None where no backward has reached the layer.
        curvature: ``[nnz]``, the Hessian of the loss times its gradient, for rules that need it.
        learning_rate: of this step.
        memory: the rule's own notes on this layer.
    """

    name: str
    edges: Edges
    weight: Tensor
    probe: DenseGradient
    generator: torch.Generator
    start: int = 0
    budget: int = 0
    gradient: Tensor | None = None
    curvature: Tensor | None = None
    learning_rate: float = 0.0
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class Update:
    """All layers of one optimizer at the moment of an update.

    Attributes:
        layers: those with something to look at.
        moment: where in the run.
        generator: the only source of randomness a rule may use.
        memory: the rule's notes that belong to no single layer.
        paths: names of layers one after the other, from an input of the network to an output.
        fixed: the matrices ``[out_features, in_features]`` of those on the paths that are not in ``layers``.
        unreached: other layers of the optimizer, which no backward has reached where the rule needs a dense gradient.
    """

    layers: Sequence[LayerView]
    moment: Moment
    generator: torch.Generator
    memory: Memory = field(default_factory=Memory)
    paths: Sequence[Sequence[str]] = ()
    fixed: Mapping[str, Tensor] = field(default_factory=dict)
    unreached: Sequence[LayerView] = ()
