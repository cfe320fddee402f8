"""Make any PyTorch module sparse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.control.controller import TopologyController
from sparse_agents.control.optimizer_state import swap_parameters
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.nn import (
    BACKENDS,
    DenseLayer,
    SparseLinear,
    check_none_deferred,
    check_patterns,
    dense_layers,
    matrix_shape,
    needing_values,
    replace_layers,
    sparse_layers,
    unrolled,
    use_backend,
)
from sparse_agents.rules import RULES, SCHEDULE_OPTIONS, TopologyRule, make_rule
from sparse_agents.topology import Budget, Distribution, Schedule, Topology, allocate

INITIAL_TOPOLOGIES = ("rule", "magnitude")


def split_options(
    topology: str,
    options: Mapping[str, Any] | None,
    defaults: Callable[[TopologyRule, type[TopologyRule]], Mapping[str, Any]],
) -> tuple[TopologyRule, Schedule | None]:
    """A rule and its schedule out of flat ``topology_kwargs``; what is not the schedule's is the rule's.

    ``defaults``: the schedule's, given the rule and the class registered as ``topology``.
    """
    options = {} if options is None else options
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"topology_kwargs={options!r} is not a dict of options.")
    rule = make_rule(topology, **{k: v for k, v in options.items() if k not in SCHEDULE_OPTIONS})
    timing = {k: v for k, v in options.items() if k in SCHEDULE_OPTIONS}
    return rule, rule.schedule(timing, defaults(rule, RULES[topology]))


def initial_topologies(
    rule: TopologyRule,
    weights: Mapping[str, Tensor],
    budgets: Mapping[str, int],
    generator: torch.Generator,
    initial: str = "rule",
) -> dict[str, Topology]:
    """What each of these dense layers begins with, given its weights.

    ``initial="magnitude"`` takes the largest weights where the rule would begin at random.
    """
    if initial not in INITIAL_TOPOLOGIES:
        raise unknown("initial_topology", initial, INITIAL_TOPOLOGIES)
    return {
        name: Topology(
            rule.largest_edges(name, weights[name], budget)
            if initial == "magnitude"
            else rule.initial_edges(name, weights[name], budget, generator)
        )
        for name, budget in budgets.items()
    }


def fresh_seed() -> int:
    """A seed that depends on torch's global generator without advancing it.

    So a seeded run is reproducible, and a sparse run sees the same noise as a dense one.
    """
    with torch.random.fork_rng(devices=[]):
        return int(torch.randint(2**62, ()))


def sparsify(
    module: nn.Module,
    *,
    sparsity: float = 0.9,
    topology: str = "set",
    topology_kwargs: Mapping[str, Any] | None = None,
    distribution: Distribution = "erk",
    dense: Iterable[str] = (),
    exclude: Iterable[str] = (),
    weight_init: str = "scaled",
    initial_topology: str = "rule",
    backend: str = "csr",
    paths: Sequence[Sequence[str]] | None = None,
    followers: Sequence[nn.Module] = (),
    optimizer: torch.optim.Optimizer | None = None,
    seed: int | None = None,
) -> TopologyController:
    """Replace the linear, convolutional and LSTM layers of ``module`` by sparse ones, in place.

    Args:
        module: any module; its ``nn.Linear``, ``nn.Conv2d`` and ``nn.LSTM`` children are converted, at any depth.
        sparsity: fraction of absent connections over all layers counted, in [0, 1).
        topology: a rule's name, see ``sparse_agents.rules.RULES``.
        topology_kwargs: ``update_interval, drop_fraction, schedule, begin, end`` and the rule's own
            options; defaults are the published ones.
        distribution: how connections are shared out over layers, see ``DISTRIBUTIONS``; or sparsities by layer name
            pattern, ``{"0": 0.95, "*": 0.8}``.
        dense: names of layers that stay dense but count.
        exclude: name patterns (as in shells) of layers that stay dense and do not count.
        weight_init: ``"scaled"`` keeps the variance of a unit's input, ``"inherit"`` keeps the weights.
        initial_topology: ``"rule"``: as the rule says, which is mostly at random; ``"magnitude"``: the largest weights
            of each layer, group or unit, where the rule would begin at random.
        backend: ``"csr"`` computes by connections, ``"masked"`` densely, with matrices that are filled in at each
            forward.
        paths: names of linear layers one after the other, from an input of the module to an output, for rules that
            follow the flow through it (``"synflow"``, ``"srigl"``); by default all layers in the order they are
            registered, if their shapes fit.
        followers: copies of the module, such as target networks, that are to have its topology at all times. Make them
            before you call this.
        optimizer: one that already holds the module's parameters; it is updated and attached.
        seed: of the random topology and of the rule; by default from torch's global generator.

    Returns:
        The controller. Unless ``optimizer`` was given, call ``controller.attach(optimizer)``.
    """
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    with unrolled(module, *followers):
        exclude = tuple(exclude)
        everything = dense_layers(module)
        check_patterns("exclude", exclude, everything)
        if not isinstance(distribution, str):
            check_patterns("distribution", distribution, everything)
        layers = dense_layers(module, exclude)
        _check_layers(module, layers)
        rule, schedule = split_options(topology, topology_kwargs, lambda _, kind: kind.published)
        check_kinds(rule, layers)
        shapes = {name: matrix_shape(layer) for name, layer in layers.items()}
        weights = {name: layer.weight.detach().flatten(1) for name, layer in layers.items()}
        sizes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        budgets = allocate(Budget(sizes, sparsity, frozenset(dense), weights=weights), distribution)
        seed = int(torch.randint(2**62, ())) if seed is None else seed
        if paths is None:
            paths = [list(layers)] if _is_chain(shapes) else []
        for name in (name for path in paths for name in path if name not in layers):
            raise unknown("linear layer in paths", name, layers)
        check_outputs(rule, {path[-1] for path in paths}, budgets, shapes, "dense")
        generator = torch.Generator().manual_seed(seed)
        with needing_values():
            topologies = initial_topologies(rule, weights, budgets, generator, initial_topology)
        replaced = replace_layers(module, topologies, weight_init)
        for follower in followers:
            replace_layers(follower, topologies, weight_init)
        now = {name: module.get_submodule(name) for name in layers}
        for one in (module, *followers):
            use_backend(
                one, [layer for layer in sparse_layers(one).values() if isinstance(layer, SparseLinear)], backend
            )
        controller = TopologyController(
            {name: now[name] for name in topologies},  # type: ignore[misc]
            rule,
            schedule,
            seed=seed + 1,
            followers={name: [f.get_submodule(name) for f in followers] for name in topologies},  # type: ignore[misc]
            budgets=budgets,
            paths=[{name: now[name] for name in path} for path in paths],  # type: ignore[misc]
        )
        if optimizer is not None:
            swap_parameters(optimizer, replaced, now.values())  # type: ignore[arg-type]
            controller.attach(optimizer)
        for one in (module, *followers):
            check_none_deferred(one)
        return controller


def _is_chain(shapes: Mapping[str, tuple[int, int]]) -> bool:
    """Whether each layer's inputs can be the outputs of the layer registered before it."""
    return all(below[0] == above[1] for below, above in pairwise(shapes.values()))


def _check_layers(module: nn.Module, layers: Mapping[str, DenseLayer]) -> None:
    """Raises ConfigurationError for what cannot be made sparse."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.LSTM):
        raise ConfigurationError("A layer cannot be replaced in place. Wrap it: nn.Sequential(layer).")
    if not layers:
        raise ConfigurationError(f"{type(module).__name__} has no linear, convolutional or LSTM layer to make sparse.")
    owner: dict[Tensor, str] = {}
    for name, layer in layers.items():
        other = owner.setdefault(layer.weight, name)
        if other != name:
            raise ConfigurationError(
                f"Layers {other!r} and {name!r} share one weight matrix, which connections of their own would part. "
                f"Leave them dense: exclude=[{other!r}, {name!r}]."
            )
        if not layer.weight.requires_grad:
            raise ConfigurationError(
                f"Layer {name!r} is frozen (its weight has requires_grad=False), and a topology is trained with its "
                f"weights. Leave the layer as it is: exclude=[{name!r}]."
            )


def check_kinds(rule: TopologyRule, layers: Mapping[str, DenseLayer]) -> None:
    """Raises ConfigurationError where a rule cannot deal with a layer."""
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d) and not rule.convolutions:
            raise ConfigurationError(
                f"{type(rule).__name__} does not work on convolutions, as many units share their weights: {name!r} is "
                "one. Leave them dense with `exclude`, or choose another rule."
            )


def check_outputs(
    rule: TopologyRule,
    outputs: Collection[str],
    budgets: Mapping[str, int],
    shapes: Mapping[str, tuple[int, int]],
    option: str,
) -> None:
    """Raises ConfigurationError where whole units would come and go among a network's outputs."""
    for name in outputs:
        rows, cols = shapes.get(name, (0, 0))
        if rule.whole_units and budgets.get(name, rows * cols) < rows * cols:
            raise ConfigurationError(
                f'block_size="unit" would take outputs of the network away, in layer {name!r}. Keep output layers '
                f"dense with `{option}`."
            )
