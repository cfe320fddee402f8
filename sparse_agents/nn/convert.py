"""Between dense modules and sparse ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TypeGuard

import torch
from torch import nn

from sparse_agents.errors import unknown
from sparse_agents.nn.conv import SparseConv2d, convertible
from sparse_agents.nn.layer import SparseLayer
from sparse_agents.nn.linear import SparseLinear
from sparse_agents.nn.lstm import UnrolledLSTM, unrollable
from sparse_agents.nn.sequential import SparseSequential, fuse
from sparse_agents.topology import Topology, random_edges

DenseLayer = nn.Linear | nn.Conv2d

CALL_HOOKS = (
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_pre_hooks",
    "_backward_hooks",
    "_is_full_backward_hook",
)
"""Where ``nn.Module`` keeps who watches its calls."""


def _scaled(rows: int, cols: int, nnz: int) -> float:
    return math.sqrt(rows * cols / nnz)


def _inherit(rows: int, cols: int, nnz: int) -> float:
    return 1.0


# What to multiply the dense layer's initial weights with. "scaled" keeps the variance of a unit's
# input: fewer connections, each larger by sqrt(n_in / mean fan-in) (Evci et al. 2022; Graesser et
# al. 2022, section 3).
WEIGHT_INITS = {"scaled": _scaled, "inherit": _inherit}


def dense_layers(module: nn.Module, exclude: Iterable[str] = ()) -> dict[str, DenseLayer]:
    """Plain linear and convolutional layers below ``module`` by name, in order, but those matching a pattern."""
    patterns = tuple(exclude)
    return {
        name: child for name, child in module.named_modules() if is_dense_layer(child) and not matches(name, patterns)
    }


def is_dense_layer(module: nn.Module) -> TypeGuard[DenseLayer]:
    """Whether it can be made sparse. Exactly torch's own: a subclass may compute something else."""
    known = type(module) is nn.Linear or (type(module) is nn.Conv2d and convertible(module))
    return known and "weight" in module._parameters  # not where ``weight_norm`` computes it


def matrix_shape(layer: DenseLayer) -> tuple[int, int]:
    """``(outputs, inputs)`` of the graph that takes its place."""
    return layer.weight.shape[0], layer.weight[0].numel()


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name fits any pattern, as in shells."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check_patterns(option: str, patterns: Iterable[str], names: Collection[str]) -> None:
    """Every pattern has to fit one of the layers there are.

    Raises:
        ConfigurationError: naming the option and the pattern.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise unknown(f"layer in {option}", pattern, names)


def sparse_layers(module: nn.Module) -> dict[str, SparseLayer]:
    """Sparse layers below ``module`` by name, in order."""
    return {name: child for name, child in module.named_modules() if isinstance(child, SparseLayer)}


def random_topologies(
    layers: Mapping[str, DenseLayer], connections: Mapping[str, int], generator: torch.Generator
) -> dict[str, Topology]:
    """A random topology with the given number of connections for each layer."""
    return {
        name: Topology(random_edges(matrix_shape(layers[name]), count, generator))
        for name, count in connections.items()
    }


def replace_layers(
    module: nn.Module, topologies: Mapping[str, Topology], weight_init: str = "inherit"
) -> dict[torch.Tensor, nn.Parameter]:
    """Replace the named dense layers of ``module`` by sparse ones, in place.

    Returns:
        Old parameter to new one, for optimizers and whoever else holds them.
    """
    if weight_init not in WEIGHT_INITS:
        raise unknown("weight_init", weight_init, WEIGHT_INITS)
    replaced: dict[torch.Tensor, nn.Parameter] = {}
    swaps: dict[nn.Module, nn.Module] = {}
    for name, topology in topologies.items():
        dense = module.get_submodule(name)
        scale = WEIGHT_INITS[weight_init](*topology.shape, topology.nnz)
        sparse = swaps[dense] = _sparse(dense, topology, scale)
        for parameter, old in dense.named_parameters():
            replaced[old] = sparse.get_parameter(parameter)
    _swap(module, swaps)
    fuse(module)
    return replaced


def _sparse(dense: nn.Module, topology: Topology, scale: float) -> SparseLayer:
    if isinstance(dense, nn.Conv2d):
        return SparseConv2d.from_dense(dense, topology, scale)
    assert isinstance(dense, nn.Linear)
    return SparseLinear.from_dense(dense, topology, scale)


def densify(module: nn.Module) -> nn.Module:
    """A copy with every sparse layer dense again, computing the same function."""
    dense = copy.deepcopy(module)
    if isinstance(dense, SparseLayer):
        return dense.to_dense()
    _swap(dense, {layer: layer.to_dense() for layer in sparse_layers(dense).values()})
    _swap(dense, {lstm: lstm.rolled_up() for lstm in dense.modules() if isinstance(lstm, UnrolledLSTM)})
    for part in dense.modules():
        if type(part) is SparseSequential:
            part.__class__ = nn.Sequential  # type: ignore[assignment]
    return dense


@contextmanager
def unrolled(*modules: nn.Module) -> Iterator[None]:
    """Meanwhile every LSTM below them consists of linear layers; those that stay dense are one again after it."""
    before: dict[nn.Module, nn.Module] = {}
    for module in modules:
        made: dict[nn.Module, nn.Module] = {lstm: UnrolledLSTM(lstm) for lstm in module.modules() if unrollable(lstm)}
        before |= {new: lstm for lstm, new in made.items()}
        _swap(module, made)
    try:
        yield
    finally:
        for module in modules:
            _swap(module, {new: lstm for new, lstm in before.items() if not sparse_layers(new)})


def _swap(root: nn.Module, swaps: Mapping[nn.Module, nn.Module]) -> None:
    """Replace modules wherever they hang, under every name they have. Who watches their calls watches the new ones'."""
    for old, new in swaps.items():
        vars(new).update({name: vars(old)[name] for name in CALL_HOOKS})  # themselves, which handles remove from
    for parent in list(root.modules()):
        for key, child in parent._modules.items():
            if child is not None and child in swaps:
                parent._modules[key] = swaps[child]
