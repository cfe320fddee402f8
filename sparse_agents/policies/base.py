"""Any Stable-Baselines3 policy, made sparse after it was built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from sparse_agents.control import (
    TopologyController,
    check_outputs,
    fresh_seed,
    initial_topologies,
    prefer_fused,
    split_options,
    swap_parameters,
)
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.nn import SparseLinear, check_patterns, linear_layers, replace_linear
from sparse_agents.rules import TopologyRule, overlay
from sparse_agents.topology import Budget, Distribution, Topology, allocate

# In optimizer steps; those of Sokar et al. (2022), where a rule has none of its own for reinforcement learning.
TOPOLOGY_DEFAULTS: Mapping[str, Any] = {"update_interval": 1000, "drop_fraction": 0.05, "schedule": "constant"}
# A policy does not know how long it will be trained, and rules that change the number of connections need an end.
RAMP_END = 100_000


@dataclass(frozen=True)
class Member:
    """One network with a sparsity of its own: an actor, or one of several critics.

    Attributes:
        prefix: its name within the policy, for layer names such as ``critic.qf0.2``.
        online: the network that is trained.
        target: its target network, of the same layers; None where the algorithm has none.
        outputs: names of the layers that ``dense_output`` keeps dense.
    """

    prefix: str
    online: nn.Module
    target: nn.Module | None
    outputs: Sequence[str]

    def hidden_activations(self) -> dict[str, nn.Module]:
        """The activation modules behind hidden layers, by full name: those before the first output layer."""
        found: dict[str, nn.Module] = {}
        after_linear = False
        for name, module in self.online.named_modules():
            if name in self.outputs:
                break
            if next(module.children(), None) is not None and not isinstance(module, SparseLinear):
                continue
            if isinstance(module, Topology):
                continue
            if after_linear and not isinstance(module, SparseLinear | nn.Linear):
                found[f"{self.prefix}.{name}"] = module
            after_linear = isinstance(module, SparseLinear | nn.Linear)
        return found

    def weights(self) -> tuple[int, int]:
        """Connections of its weight matrices now, and those of the dense network. Biases are not counted."""
        present = dense = 0
        for module in self.online.modules():
            if isinstance(module, SparseLinear):
                present, dense = present + module.topology.nnz, dense + module.topology.edges.size
            elif isinstance(module, nn.Linear):
                present, dense = present + module.weight.numel(), dense + module.weight.numel()
        return present, dense

    def paths(self) -> list[dict[str, SparseLinear | nn.Linear]]:
        """From the input to each output layer, through all the others in order, by full name."""
        layers = {
            name: module for name, module in self.online.named_modules() if isinstance(module, SparseLinear | nn.Linear)
        }
        trunk = {f"{self.prefix}.{n}": layer for n, layer in layers.items() if n not in self.outputs}
        return [{**trunk, f"{self.prefix}.{n}": layers[n]} for n in self.outputs]


@dataclass(frozen=True)
class Trained:
    """What one optimizer trains."""

    optimizer: torch.optim.Optimizer
    members: Sequence[Member]


@dataclass(frozen=True)
class _Converted:
    """Of one member: its sparse layers, its target's, and the connections each is to have; by full name."""

    online: dict[str, SparseLinear]
    followers: dict[str, SparseLinear]
    budgets: dict[str, int]


class SparsePolicyMixin:
    """Adds sparsity to a Stable-Baselines3 policy class.

    The dense policy is built first, in full, so every initial weight (orthogonal gains included) is
    inherited by the connections that stay. Then its linear layers are swapped for sparse ones, the
    optimizers are given the new parameters, and a :class:`TopologyController` per optimizer listens
    to their steps. The algorithm's ``train()`` is untouched.

    Further ``policy_kwargs``, all plain literals:

    Args:
        sparsity: fraction of absent connections of each network, over its weight matrices; a number
            or one by network, ``{"actor": 0.9, "critic": 0.85}``.
        topology: a rule, see ``sparse_agents.rules.RULES``.
        topology_kwargs: ``update_interval, drop_fraction, schedule, begin, end``, in steps of the
            optimizer that owns the layer, each a value or one by network; ``block_size``; and the rule's own
            options. By default 1000, 0.05, constant, and no end, but 100,000 for rules that change the number
            of connections on the way.
        distribution: how connections are shared out over layers, see ``DISTRIBUTIONS``; or sparsities by layer name
            pattern, ``{"actor.*": 0.95, "*": 0.8}``.
        actor_share: the part of all connections, over all networks, that the actor gets; ``sparsity`` is then that of
            all networks together. Graesser et al. (2022, section 4.3) find 0.34 best.
        lambdas: for ``distribution="lambda_er"``.
        dense_output: keep output layers dense; they count in the sparsity.
        weight_init: ``"scaled"`` or ``"inherit"``.
        exclude: name patterns of layers that stay dense and are not counted, such as ``"critic.*.0"``.
        share_topology: target networks have the online network's connections. False gives them a
            topology of their own, for algorithms that maintain it (``DSTD3(target_topology="capped")``).
        topology_defaults: like the schedule in ``topology_kwargs``, but for algorithms with a recipe: what a rule has
            of its own for reinforcement learning goes before it, and so does ``schedule="itop"``.
    """

    topology_controllers: nn.ModuleDict
    _sparse_kwargs: dict[str, Any]
    _not_converted: Sequence[str] = ()
    """Name patterns of layers that this policy never converts nor counts."""

    def __init__(
        self,
        *args: Any,
        sparsity: float | Mapping[str, float] | None = 0.9,
        topology: str = "set",
        topology_kwargs: Mapping[str, Any] | None = None,
        distribution: Distribution = "erk",
        actor_share: float | None = None,
        lambdas: Sequence[float] = (),
        dense_output: bool = False,
        weight_init: str = "scaled",
        exclude: Sequence[str] = (),
        share_topology: bool = True,
        topology_defaults: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._sparse_kwargs = {
            "sparsity": sparsity,
            "topology": topology,
            "topology_kwargs": dict(topology_kwargs or {}),
            "distribution": distribution if isinstance(distribution, str) else dict(distribution),
            "actor_share": actor_share,
            "lambdas": tuple(lambdas),
            "dense_output": dense_output,
            "weight_init": weight_init,
            "exclude": tuple(exclude),
            "share_topology": share_topology,
            "topology_defaults": dict(topology_defaults or {}),
        }
        super().__init__(*args, **kwargs)
        self._sparsify()

    def networks(self) -> dict[str, Trained]:
        """The policy's networks by name: what each optimizer trains."""
        raise NotImplementedError

    def run_networks(self, observations: Any, actions: torch.Tensor) -> None:
        """One deterministic forward through every online network, for who looks at activations."""
        raise NotImplementedError

    def _sparsify(self) -> None:
        assert isinstance(self, nn.Module)
        seed = fresh_seed()
        generator = torch.Generator().manual_seed(seed)
        trained = self.networks()
        self._check_names(trained)
        sparsities = self._sparsities(trained)
        controllers = {}
        for index, (network, group) in enumerate(trained.items()):
            options = self._options_for("topology_kwargs", network, trained)
            recipe = self._options_for("topology_defaults", network, trained)
            rule, schedule = split_options(self._sparse_kwargs["topology"], options, partial(_defaults, recipe))
            converted = [self._convert(member, rule, sparsities[network], group, generator) for member in group.members]
            layers = {name: layer for one in converted for name, layer in one.online.items()}
            controllers[network] = TopologyController(
                layers,
                rule,
                schedule,
                seed=seed + 1 + index,
                followers={name: [layer] for one in converted for name, layer in one.followers.items()},
                budgets={name: count for one in converted for name, count in one.budgets.items()},
                paths=[path for member in group.members for path in member.paths()],
            )
            if layers:
                controllers[network].attach(group.optimizer)
            prefer_fused(group.optimizer)
        self.topology_controllers = nn.ModuleDict(controllers)

    def _convert(
        self,
        member: Member,
        rule: TopologyRule,
        sparsity: float | None,
        group: Trained,
        generator: torch.Generator,
    ) -> _Converted:
        """Swap one network's layers, and its target's."""
        options = self._sparse_kwargs
        linear = self._linear_layers(member)
        full = {name: f"{member.prefix}.{name}" for name in linear}
        shapes = {full[name]: (layer.out_features, layer.in_features) for name, layer in linear.items()}
        weights = {full[name]: layer.weight.detach() for name, layer in linear.items()}
        dense = frozenset(full[n] for n in member.outputs if n in full) if options["dense_output"] else frozenset()
        by_name = allocate(Budget(shapes, sparsity, dense, options["lambdas"], weights), options["distribution"])
        check_outputs(rule, [full[n] for n in member.outputs if n in full], by_name, shapes, "dense_output=True")
        by_full_name = initial_topologies(rule, weights, by_name, generator)
        topologies = {name: by_full_name[full[name]] for name in linear if full[name] in by_name}
        swap_parameters(group.optimizer, replace_linear(member.online, topologies, options["weight_init"]))
        online = _named(member.prefix, member.online, topologies)
        if member.target is None:
            return _Converted(online, {}, by_name)
        if not options["share_topology"]:
            topologies = {name: Topology(topology.edges) for name, topology in topologies.items()}
        replace_linear(member.target, topologies, options["weight_init"])
        followers = _named(member.prefix, member.target, topologies) if options["share_topology"] else {}
        return _Converted(online, followers, by_name)

    def _sparsities(self, networks: Mapping[str, Trained]) -> dict[str, float | None]:
        """Of each network."""
        sparsity, share = self._sparse_kwargs["sparsity"], self._sparse_kwargs["actor_share"]
        if share is None:
            return {name: _by_network(sparsity, "sparsity", name, networks) for name in networks}
        if not isinstance(self._sparse_kwargs["distribution"], str):
            raise ConfigurationError("actor_share and a distribution by layer name both say what each network gets.")
        if "actor" not in networks or not isinstance(sparsity, int | float) or not 0 < share < 1:
            raise ConfigurationError(
                f"actor_share={share} with sparsity={sparsity}: a share in (0, 1) of what one sparsity leaves of an "
                "actor and its critics together."
            )
        sizes = {
            name: sum(
                layer.weight.numel() for member in group.members for layer in self._linear_layers(member).values()
            )
            for name, group in networks.items()
        }
        connections = (1 - sparsity) * sum(sizes.values())
        actor = min(share * connections, sizes["actor"])
        critics = sum(sizes.values()) - sizes["actor"]
        if connections - actor > critics:
            raise ConfigurationError(
                f"actor_share={share} leaves the critics more connections than they can have at sparsity={sparsity}. "
                "Raise it, or the sparsity."
            )
        rest = 1 - (connections - actor) / critics
        return {name: 1 - actor / sizes["actor"] if name == "actor" else rest for name in networks}

    def _linear_layers(self, member: Member) -> dict[str, nn.Linear]:
        """Those that are converted, or counted."""
        exclude = (*self._sparse_kwargs["exclude"], *self._not_converted)
        return linear_layers(member.online, exclude, f"{member.prefix}.")

    def _check_names(self, networks: Mapping[str, Trained]) -> None:
        """Patterns that fit no layer are mistakes."""
        prefixes = {f"{member.prefix}.": member.online for group in networks.values() for member in group.members}
        names = [p + name for p, online in prefixes.items() for name in linear_layers(online, self._not_converted, p)]
        check_patterns("exclude", self._sparse_kwargs["exclude"], names)
        if not isinstance(self._sparse_kwargs["distribution"], str):
            check_patterns("distribution", self._sparse_kwargs["distribution"], names)

    def _options_for(self, kwarg: str, network: str, networks: Mapping[str, Any]) -> dict[str, Any]:
        return {key: _by_network(value, key, network, networks) for key, value in self._sparse_kwargs[kwarg].items()}

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """So that ``policy.save`` and ``policy.load`` keep the sparsity."""
        parameters: dict[str, Any] = super()._get_constructor_parameters()  # type: ignore[misc]
        return {**parameters, **self._sparse_kwargs}


def _defaults(recipe: Mapping[str, Any], rule: TopologyRule, kind: type[TopologyRule]) -> dict[str, Any]:
    """Of the schedule."""
    end = {"end": RAMP_END} if rule.ramps else {}
    return overlay({**TOPOLOGY_DEFAULTS, **end, **recipe}, kind.reinforcement)


def _by_network(value: Any, option: str, network: str, networks: Mapping[str, Any]) -> Any:
    """A setting given once, or once per network."""
    if not isinstance(value, Mapping):
        return value
    for name in value:
        if name not in networks:
            raise unknown(f"network in {option}", name, networks)
    if network not in value:
        raise ConfigurationError(f"{option} names {', '.join(value)} but not {network!r}. Give every network a value.")
    return value[network]


def _named(prefix: str, module: nn.Module, topologies: Mapping[str, Topology]) -> dict[str, SparseLinear]:
    named = {}
    for name in topologies:
        layer = module.get_submodule(name)
        assert isinstance(layer, SparseLinear)
        named[f"{prefix}.{name}"] = layer
    return named
