"""How a policy divides into networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from sparse_agents.nn import DenseLayer, SparseLayer, SparseLinear, is_dense_layer
from sparse_agents.topology import Topology


@dataclass(frozen=True)
class Part:
    """A part of a policy with a sparsity of its own: an actor, one of several critics, an extractor they share.

    Attributes:
        network: what ``sparsity`` and its like call it, such as ``"actor"``; several parts may have one name.
        optimizer: the name of the one that trains it.
        modules: its modules by their names in the policy, in the order of the flow.
        outputs: names of the layers that ``dense_output`` keeps dense.
    """

    network: str
    optimizer: str
    modules: Mapping[str, nn.Module]
    outputs: Sequence[str] = ()

    def layers(self) -> dict[str, SparseLayer | DenseLayer]:
        """All layers that are sparse or could be, by name, in order."""
        return {
            name: module for name, module in self._named() if isinstance(module, SparseLayer) or is_dense_layer(module)
        }

    def weights(self) -> tuple[int, int]:
        """Weights now, and those of the dense network. Biases are not counted."""
        present = dense = 0
        for layer in self.layers().values():
            present += layer.weight.numel()
            dense += layer.topology.edges.size if isinstance(layer, SparseLayer) else layer.weight.numel()
        return present, dense

    def paths(self) -> list[dict[str, SparseLayer | DenseLayer]]:
        """From the input to each output layer, through all the others in order."""
        layers = self.layers()
        trunk = {name: layer for name, layer in layers.items() if name not in self.outputs}
        return [{**trunk, name: layers[name]} for name in self.outputs]

    def hidden_activations(self) -> dict[str, nn.Module]:
        """The activation modules behind hidden layers: those before the first output layer."""
        return {name: activation for name, (activation, _) in self._hidden().items()}

    def hidden_units(self) -> dict[str, int]:
        """Units of the linear layers behind which these are, by the names of the activation modules."""
        linear = {n: layer for n, (_, layer) in self._hidden().items() if isinstance(layer, SparseLinear | nn.Linear)}
        return {name: layer.out_features for name, layer in linear.items()}

    def _hidden(self) -> dict[str, tuple[nn.Module, nn.Module]]:
        """Activations and the layers before them, LayerNorm between them or not."""
        found: dict[str, tuple[nn.Module, nn.Module]] = {}
        before: nn.Module | None = None
        for name, module in self._named():
            if name in self.outputs:
                break
            layer = isinstance(module, SparseLayer) or is_dense_layer(module)
            if isinstance(module, Topology | nn.LayerNorm):
                continue
            if not layer and next(module.children(), None) is not None:
                continue
            if before is not None and not layer:
                found[name] = module, before
            before = module if layer else None
        return found

    def _named(self) -> Iterator[tuple[str, nn.Module]]:
        for root, module in self.modules.items():
            yield from module.named_modules(prefix=root)


def last_layer(root: str, module: nn.Module) -> str:
    """The name of the last layer below a module."""
    return list(Part("", "", {root: module}).layers())[-1]
