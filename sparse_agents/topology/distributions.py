"""How a network's connections are shared out among its layers.

A distribution turns layer shapes and a sparsity into exact connection counts. Sparsity is counted
over all weight matrices given, dense ones included; biases are never counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.topology.lamp import lamp_score

Shape = tuple[int, ...]
Distribution = str | Mapping[str, float]


@dataclass(frozen=True)
class Budget:
    """What is to be shared out.

    Attributes:
        shapes: layer name to its weights' shape, ``(out_features, in_features)``, of a convolution
            ``(out_channels, in_channels, height, width)``; in order of depth.
        sparsity: fraction of absent connections in [0, 1), or None where the distribution says.
        dense: names of layers that stay dense; they count.
        lambdas: for ``"lambda_er"``, one per sparse layer.
        weights: for ``"lamp"``, every layer's initial weights.
    """

    shapes: Mapping[str, Shape]
    sparsity: float | None
    dense: frozenset[str] = frozenset()
    lambdas: Sequence[float] = field(default=())
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    @property
    def sparse(self) -> dict[str, Shape]:
        return {name: shape for name, shape in self.shapes.items() if name not in self.dense}


def uniform(budget: Budget) -> dict[str, float]:
    """The same density everywhere."""
    return _scaled(budget, dict.fromkeys(budget.sparse, 1.0))


def erdos_renyi(budget: Budget) -> dict[str, float]:
    """Density ε(n_in + n_out)/(n_in n_out) (Mocanu et al. 2018, eq. 2), ε solved for the sparsity."""
    return _scaled(budget, {name: (o + i) / (o * i) for name, (o, i, *_) in budget.sparse.items()})


def erdos_renyi_kernel(budget: Budget) -> dict[str, float]:
    """As ER, with the sides of a convolution's kernel among the dimensions (Evci et al. 2020, section 3, ERK)."""
    return _scaled(budget, {name: sum(shape) / math.prod(shape) for name, shape in budget.sparse.items()})


def lambda_er(budget: Budget) -> dict[str, float]:
    """Density λ_l(n_in + n_out)/(n_in n_out) with one λ per layer (Sokar et al. 2022, eq. 1).

    Without a sparsity the λ are taken as they are; with one, all are scaled by the same factor.
    The last λ serves deeper layers.
    """
    if not budget.lambdas:
        raise ConfigurationError("distribution='lambda_er' needs `lambdas`, one per layer, such as [7, 64].")
    if not all(math.isfinite(value) and value > 0 for value in budget.lambdas):
        raise ConfigurationError(f"lambdas={list(budget.lambdas)}: every λ has to be a positive number.")
    raw = {}
    for depth, (name, (rows, cols, *_)) in enumerate(budget.sparse.items()):
        factor = budget.lambdas[min(depth, len(budget.lambdas) - 1)]
        raw[name] = factor * (rows + cols) / (rows * cols)
    if budget.sparsity is None:
        if all(density >= 1 for density in raw.values()):
            raise ConfigurationError(
                f"lambdas={list(budget.lambdas)} leave every layer of {', '.join(raw)} dense: they are too large for "
                "layers so narrow. Give a `sparsity`, or smaller lambdas."
            )
        return {name: min(density, 1.0) for name, density in raw.items()}
    return _scaled(budget, raw)


def lamp(budget: Budget) -> dict[str, float]:
    """What pruning the initial weights by LAMP score over all layers would leave (Lee et al. 2021, section 3)."""
    names = list(budget.sparse)
    if any(budget.weights[name].is_meta for name in names):
        raise ConfigurationError(
            "distribution='lamp' is chosen by the weights of a dense layer, and one of the layers is too large to have "
            "them. Use 'erk' or 'uniform'."
        )
    scores = [lamp_score(budget.weights[name].reshape(-1)) for name in names]
    target = _for_sparse(budget)
    order = torch.cat(scores).argsort(descending=True, stable=True)[: round(target)]
    layer = torch.repeat_interleave(torch.arange(len(names)), torch.tensor([len(s) for s in scores]))
    kept = torch.bincount(layer[order], minlength=len(names)).tolist()
    return {name: count / budget.sizes[name] for name, count in zip(names, kept, strict=True)}


DISTRIBUTIONS: dict[str, Callable[[Budget], dict[str, float]]] = {
    "uniform": uniform,
    "er": erdos_renyi,
    "erk": erdos_renyi_kernel,
    "lambda_er": lambda_er,
    "lamp": lamp,
}


def _scaled(budget: Budget, raw: Mapping[str, float]) -> dict[str, float]:
    """Scale raw densities to the budget; a layer that would exceed 1 is dense and the rest rescaled."""
    sizes, target = budget.sizes, _for_sparse(budget)
    full: set[str] = set()
    while True:
        rest = [name for name in raw if name not in full]
        if not rest:
            return dict.fromkeys(raw, 1.0)
        scale = (target - sum(sizes[n] for n in full)) / sum(raw[n] * sizes[n] for n in rest)
        over = {name for name in rest if raw[name] * scale > 1}
        if not over:
            return {name: 1.0 if name in full else raw[name] * scale for name in raw}
        full |= over


def _for_sparse(budget: Budget) -> float:
    """Connections for the sparse layers, once the dense ones are paid for."""
    if budget.sparsity is None:
        raise ConfigurationError("This distribution needs a `sparsity`.")
    sizes = budget.sizes
    target = (1 - budget.sparsity) * sum(sizes.values()) - sum(sizes[n] for n in budget.dense)
    if budget.sparse and target <= 0:
        raise ConfigurationError(
            f"sparsity={budget.sparsity} leaves no connection for {', '.join(budget.sparse)} once the dense layers "
            f"{', '.join(sorted(budget.dense))} are paid for. Lower the sparsity or set dense_output=False."
        )
    return target


def _by_pattern(budget: Budget, sparsities: Mapping[str, float]) -> dict[str, float]:
    """Densities from an explicit map; the first pattern that matches a layer's name counts."""
    for pattern, sparsity in sparsities.items():
        if not 0 <= sparsity < 1:
            raise ConfigurationError(f"distribution={{{pattern!r}: {sparsity}}}: the sparsity is not in [0, 1).")
    densities = {}
    for name in budget.sparse:
        found = [sparsity for pattern, sparsity in sparsities.items() if fnmatchcase(name, pattern)]
        if not found:
            raise ConfigurationError(f"distribution names no sparsity for layer {name!r}. Add a pattern, such as '*'.")
        densities[name] = 1 - found[0]
    return densities


def allocate(budget: Budget, distribution: Distribution) -> dict[str, int]:
    """Exact number of connections of every sparse layer.

    ``distribution``: a name, or sparsities by layer name pattern (as in shells), which then decide alone.

    The fractions lost by rounding down go to the layers with the largest remainders, so that the
    network's total is the budget to the connection.

    Raises:
        ConfigurationError: sparsity out of range, unknown distribution, or a layer left empty.
    """
    if not isinstance(budget.sparsity, int | float | None):
        raise ConfigurationError(f"sparsity={budget.sparsity!r} is not a number.")
    if budget.sparsity is not None and not 0 <= budget.sparsity < 1:
        raise ConfigurationError(
            f"sparsity={budget.sparsity} is not in [0, 1). It is the fraction of absent connections: "
            "0 is a dense network, 0.9 keeps one connection in ten."
        )
    if isinstance(distribution, str) and distribution not in DISTRIBUTIONS:
        raise unknown("distribution", distribution, DISTRIBUTIONS)
    for name in budget.dense - budget.shapes.keys():
        raise unknown("dense layer", name, budget.shapes)
    sizes = budget.sizes
    if isinstance(distribution, str):
        densities = DISTRIBUTIONS[distribution](budget)
    else:
        densities = _by_pattern(budget, distribution)
    exact = {name: d * sizes[name] for name, d in densities.items()}
    counts = {name: min(math.floor(value + 1e-9), sizes[name]) for name, value in exact.items()}
    left = round(sum(exact.values())) - sum(counts.values())
    by_remainder = sorted(exact, key=lambda n: counts[n] - exact[n])
    for name in [n for n in by_remainder if counts[n] < sizes[n]][:left]:
        counts[name] += 1
    for name, count in counts.items():
        if count < 1:
            outputs, *inputs = budget.shapes[name]
            raise ConfigurationError(
                f"Layer {name!r} ({math.prod(inputs)} inputs, {outputs} outputs) would keep no connection at "
                f"sparsity={budget.sparsity} with distribution={distribution!r}. Lower the sparsity, exclude "
                "the layer, or widen it."
            )
    return counts
