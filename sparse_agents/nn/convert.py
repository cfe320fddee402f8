"""Between dense modules and sparse ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import nn

from sparse_agents.errors import unknown
from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.sequential import SparseSequential, fuse
from sparse_agents.topology import Topology, random_edges


def _scaled(rows: int, cols: int, nnz: int) -> float:
    return math.sqrt(rows * cols / nnz)


def _inherit(rows: int, cols: int, nnz: int) -> float:
    return 1.0


# What to multiply the dense layer's initial weights with. "scaled" keeps the variance of a unit's
# input: fewer connections, each larger by sqrt(n_in / mean fan-in) (Evci et al. 2022; Graesser et
# al. 2022, section 3).
WEIGHT_INITS = {"scaled": _scaled, "inherit": _inherit}


def linear_layers(module: nn.Module, exclude: Iterable[str] = (), prefix: str = "") -> dict[str, nn.Linear]:
    """Plain linear layers below ``module`` by name, in order, but those matching a pattern of ``exclude``.

    ``prefix``: what stands before the name for the patterns.
    """
    patterns = tuple(exclude)
    return {
        name: child
        for name, child in module.named_modules()
        if type(child) is nn.Linear and not any(fnmatchcase(prefix + name, pattern) for pattern in patterns)
    }


def check_patterns(option: str, patterns: Iterable[str], names: Collection[str]) -> None:
    """Every pattern has to fit one of the layers there are.

    Raises:
        ConfigurationError: naming the option and the pattern.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise unknown(f"layer in {option}", pattern, names)


def sparse_layers(module: nn.Module) -> dict[str, SparseLinear]:
    """Sparse layers below ``module`` by name, in order."""
    return {name: child for name, child in module.named_modules() if isinstance(child, SparseLinear)}


def random_topologies(
    layers: Mapping[str, nn.Linear], connections: Mapping[str, int], generator: torch.Generator
) -> dict[str, Topology]:
    """A random topology with the given number of connections for each layer."""
    return {
        name: Topology(random_edges((layers[name].out_features, layers[name].in_features), count, generator))
        for name, count in connections.items()
    }


def replace_linear(
    module: nn.Module, topologies: Mapping[str, Topology], weight_init: str = "inherit"
) -> dict[torch.Tensor, nn.Parameter]:
    """Replace the named linear layers of ``module`` by sparse ones, in place.

    Returns:
        Old parameter to new one, for optimizers and whoever else holds them.
    """
    if weight_init not in WEIGHT_INITS:
        raise unknown("weight_init", weight_init, WEIGHT_INITS)
    replaced: dict[torch.Tensor, nn.Parameter] = {}
    swaps: dict[nn.Module, nn.Module] = {}
    for name, topology in topologies.items():
        linear = module.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        scale = WEIGHT_INITS[weight_init](*topology.shape, topology.nnz)
        sparse = swaps[linear] = SparseLinear.from_dense(linear, topology, scale)
        replaced[linear.weight] = sparse.weight
        if linear.bias is not None and sparse.bias is not None:
            replaced[linear.bias] = sparse.bias
    _swap(module, swaps)
    fuse(module)
    return replaced


def densify(module: nn.Module) -> nn.Module:
    """A copy with every sparse layer dense again, computing the same function."""
    dense = copy.deepcopy(module)
    if isinstance(dense, SparseLinear):
        return dense.to_dense()
    _swap(dense, {layer: layer.to_dense() for layer in sparse_layers(dense).values()})
    for part in dense.modules():
        if type(part) is SparseSequential:
            part.__class__ = nn.Sequential  # type: ignore[assignment]
    return dense


def _swap(root: nn.Module, swaps: Mapping[nn.Module, nn.Module]) -> None:
    """Replace modules wherever they hang, under every name they have."""
    for parent in list(root.modules()):
        for key, child in parent._modules.items():
            if child is not None and child in swaps:
                parent._modules[key] = swaps[child]
