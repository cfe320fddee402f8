"""What an update of the topology does to gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sparse_agents.nn import SparseLayer


@dataclass
class GradientFlow:
    """Norms of layers' gradients at the last update of their topology, and in the first step that followed.

    Evci, Ioannou, Keskin, Dauphin, "Gradient Flow in Sparse Neural Networks and How Lottery Tickets Win", AAAI 2022,
    see in its growth what dynamic sparse training gains; theirs are gradients of a whole training set, these of
    minibatches.

    Attributes:
        before: by layer, at the step of the update; empty where there was none.
        after: in the first step that followed with gradients; empty until then.
    """

    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def at_update(cls, layers: Mapping[str, SparseLayer]) -> GradientFlow:
        """Before connections move, for gradients go with them."""
        return cls(_norms(layers))

    def follow(self, layers: Mapping[str, SparseLayer]) -> None:
        """A step was taken."""
        if self.before and not self.after:
            self.after = _norms(layers)


def _norms(layers: Mapping[str, SparseLayer]) -> dict[str, float]:
    gradients = {name: layer.weight.grad for name, layer in layers.items()}
    return {name: float(gradient.norm()) for name, gradient in gradients.items() if gradient is not None}
