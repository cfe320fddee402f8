"""Any Stable-Baselines3 policy, made sparse after it was built."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn

from sparse_agents.control import (
    TopologyController,
    check_kinds,
    check_outputs,
    fresh_seed,
    initial_topologies,
    prefer_fused,
    split_options,
    swap_parameters,
)
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.nn import (
    BACKENDS,
    DenseLayer,
    SparseLayer,
    SparseLinear,
    UnrolledLSTM,
    check_none_deferred,
    check_patterns,
    deferred_matrices,
    fastest,
    is_deferred,
    is_dense_layer,
    kernels_on,
    matches,
    matrix_shape,
    needing_values,
    replace_layers,
    sparse_layers,
    unrolled,
    use_backend,
)
from sparse_agents.policies.defaults import BySparsity, Defaults, critics_sparsity, defaults_for
from sparse_agents.policies.norms import add_norms
from sparse_agents.policies.optimizer_options import OPTIMIZER_OPTIONS
from sparse_agents.policies.options import divide
from sparse_agents.policies.parts import Part
from sparse_agents.policies.settings import by_network, network_sparsities
from sparse_agents.rules import TopologyRule, overlay, rule_class
from sparse_agents.topology import Budget, Topology, allocate

# In optimizer steps; those of Sokar et al. (2022), where a rule has none of its own for reinforcement learning.
TOPOLOGY_DEFAULTS: Mapping[str, Any] = {"update_interval": 1000, "drop_fraction": 0.05, "schedule": "constant"}
# A policy does not know how long it will be trained, and rules that change the number of connections need an end.
RAMP_END = 100_000


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
        topology: a rule, see ``sparse_agents.rules.RULES``; ``"set"`` by default, ``"static"`` where the algorithm
            does not train by an optimizer.
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
        initial_topology: ``"rule"``: as the rule says, which is mostly at random; ``"magnitude"``: the largest weights
            of each layer, group or unit, where the rule would begin at random.
        include: name patterns of layers to make sparse; others stay dense and are not counted.
        exclude: name patterns of layers, among those, that stay dense and are not counted, such as ``"critic.*.0"``.
        backend: how linear layers compute: ``"csr"`` by connections, ``"masked"`` densely, with matrices that are
            filled in at each forward (what is stored are connections all the same), ``"auto"`` by a table of what is
            faster, for each network, and ``"masked"`` for LSTMs; :meth:`backends` says what it is.
        layer_norm: networks, such as ``["critic"]``, whose hidden layers are normalised before their activations,
            without gain and bias (Ba et al. 2016); by default what the class has at such a sparsity of
            the critics.
        weight_decay: of networks that lack connections, one value or one by optimizer,
            ``{"actor": 1e-3, "critic": 0}``; by default likewise, unless ``optimizer_kwargs`` are given.
        learning_rate_scale: what the algorithm's learning rate is multiplied by for these, a number or ``"auto"``, one
            over the root of the density (3.2 at 90% sparsity), or one by optimizer; by default as ``weight_decay``.
            Dey et al. (2024) have a layer's grow by one over its density, for static topologies.
        share_topology: target networks have the online network's connections. False gives them a
            topology of their own, for algorithms that maintain it (``DSTD3(target_topology="capped")``).
        topology_defaults: like the schedule in ``topology_kwargs``, but for algorithms with a recipe: what a rule has
            of its own for reinforcement learning goes before it, and so does ``schedule="itop"``.
    """

    training: bool
    topology_controllers: nn.ModuleDict
    bypasses_optimizer: ClassVar[str] = ""
    """Why no optimizer step tells of every change of the weights; such a policy keeps its topology."""
    defaults: ClassVar[BySparsity] = {0.0: Defaults()}
    """What holds where nothing is said."""
    _sparse_kwargs: dict[str, Any]
    _dense_kwargs: dict[str, Any]
    _optimizer_by_default: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._sparse_kwargs, self._dense_kwargs = self._divide(kwargs)
        with deferred_matrices():
            super().__init__(*args, **self._dense_kwargs)
        defaults = self._sparsify()
        self._optimizer_by_default = self._dense_kwargs.get("optimizer_kwargs") is None
        self._set_optimizers(defaults if self._optimizer_by_default else None)

    def _divide(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Our keyword arguments, and those of the dense policy."""
        sparse, dense = divide(given, self.dense_class())
        sparse["topology"] = sparse["topology"] or ("static" if self.bypasses_optimizer else "set")
        return sparse, dense

    @classmethod
    def dense_class(cls) -> type:
        """The policy this is the sparse version of."""
        return next(kind for kind in cls.__mro__ if not issubclass(kind, SparsePolicyMixin))

    def sparse_options(self) -> Mapping[str, Any]:
        """Our part of ``policy_kwargs``, as it was given or is by default."""
        return self._sparse_kwargs

    def set_training_mode(self, mode: bool) -> None:
        """Stable-Baselines3 sets it at every step, and going through all modules takes longer than acting."""
        if mode != self.training:
            super().set_training_mode(mode)  # type: ignore[misc]

    @staticmethod
    def parameters_changed(model: Any) -> None:
        """For algorithms that keep a copy of the policy's parameters: it is other ones now."""

    @classmethod
    def adopt(cls, policy: nn.Module, **options: Any) -> None:
        """Turn a dense policy that was built, and trained perhaps, into one of this class, in place.

        Raises:
            ConfigurationError: for bad options, the policy being what it was.
        """
        dense = type(policy)
        policy.__class__ = cls  # type: ignore[assignment]
        assert isinstance(policy, cls)
        try:
            policy._sparse_kwargs, policy._dense_kwargs = policy._divide(options)
            if policy._dense_kwargs:
                raise unknown("option", next(iter(policy._dense_kwargs)), policy._sparse_kwargs)
            policy._sparsify()
            policy._set_optimizers(None)
        except ConfigurationError:
            policy.__class__ = dense  # type: ignore[assignment]
            raise

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer | None]:
        """What trains the policy, by name; None stands for something that is no optimizer."""
        raise NotImplementedError

    def parts(self) -> list[Part]:
        """The networks, each with a sparsity of its own."""
        raise NotImplementedError

    def run_networks(self, observations: Any, actions: torch.Tensor) -> None:
        """One deterministic forward through every online network, for who looks at replayed transitions."""
        raise NotImplementedError

    def targets(self) -> dict[str, str]:
        """Names of networks and of their target networks."""
        assert isinstance(self, nn.Module)
        names = dict(self.named_children())
        return {name: f"{name}_target" for name in names if f"{name}_target" in names}

    def _sparsify(self) -> Defaults:
        """Returns what holds where nothing is said."""
        assert isinstance(self, nn.Module)
        backend = self._sparse_kwargs["backend"]
        if backend not in (*BACKENDS, "auto"):
            raise unknown("backend", backend, (*BACKENDS, "auto"))
        with unrolled(self):
            defaults = self._convert()
        check_none_deferred(self)
        return defaults

    def _set_optimizers(self, defaults: Defaults | None) -> None:
        """Where nothing is said as ``defaults`` have it; without them optimizers stay as they are."""
        optimizers = self.optimizers()
        for option, put in OPTIMIZER_OPTIONS.items():
            for name, optimizer in optimizers.items():
                trained = [part for part in self.parts() if part.optimizer == name]
                own = by_network(self._sparse_kwargs[option], option, name, optimizers)
                if own is not None:
                    put(trained, optimizer, own)
                elif defaults is not None and type(optimizer) is torch.optim.Adam:  # that of others is another
                    put(trained, optimizer, by_network(getattr(defaults, option), option, name, optimizers))

    def _convert(self) -> Defaults:
        assert isinstance(self, nn.Module)
        seed = fresh_seed()
        generator = torch.Generator().manual_seed(seed)
        optimizers, parts = self.optimizers(), self.parts()
        self._check_names(parts)
        sparsities = self._sparsities(parts)
        rules, schedules = {}, {}
        for name in optimizers:
            options = self._options_for("topology_kwargs", name, optimizers)
            options = {**rule_class(self._sparse_kwargs["topology"]).reinforcement_options, **options}
            recipe = self._options_for("topology_defaults", name, optimizers)
            make = partial(_defaults, recipe)
            rules[name], schedules[name] = split_options(self._sparse_kwargs["topology"], options, make)
            self._check_rule(rules[name])
        budgets: dict[str, dict[str, int]] = {name: {} for name in optimizers}
        topologies: dict[str, Topology] = {}
        for part in parts:
            counts, begin = self._topologies(part, rules[part.optimizer], sparsities[part.network], generator)
            budgets[part.optimizer] |= counts
            topologies |= begin
        defaults = defaults_for(critics_sparsity(parts, ChainMap(*budgets.values())), self.defaults)
        if self._sparse_kwargs["layer_norm"] is None:
            self._sparse_kwargs["layer_norm"] = defaults.layer_norm
        add_norms(self, parts, self.targets(), self._sparse_kwargs["layer_norm"])
        followers = self._replace(topologies, [optimizer for optimizer in optimizers.values() if optimizer])
        controllers = {}
        for index, (name, optimizer) in enumerate(optimizers.items()):
            own = [part for part in self.parts() if part.optimizer == name]
            layers = {n: layer for part in own for n, layer in part.layers().items() if isinstance(layer, SparseLayer)}
            controllers[name] = TopologyController(
                layers,
                rules[name],
                schedules[name],
                seed=seed + 1 + index,
                followers={n: followers[n] for n in layers},
                budgets=budgets[name],
                paths=[path for part in own for path in part.paths()],
            )
            if layers and optimizer is not None:
                others = [other for other in optimizers.values() if other is not None and other is not optimizer]
                controllers[name].attach(optimizer, *others)
        for optimizer in optimizers.values():
            if optimizer is not None:
                prefer_fused(optimizer)
        self.topology_controllers = nn.ModuleDict(controllers)
        self._choose_backends()
        return defaults

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """As ``nn.Module.to``; on a device of another kind another backend may be faster."""
        assert isinstance(self, nn.Module)
        before = _device(self).type
        moved = super().to(*args, **kwargs)  # type: ignore[misc]
        if _device(self).type != before:
            self._choose_backends()
        return moved

    def _choose_backends(self) -> None:
        for part in self.parts():
            controller: Any = self.topology_controllers[part.optimizer]
            self._choose_backend(part, controller.budgets)

    def _choose_backend(self, part: Part, budgets: Mapping[str, int]) -> None:
        """For a network and its target, by the connections it is to have in the end."""
        assert isinstance(self, nn.Module)
        linear = {name: layer for name, layer in part.layers().items() if isinstance(layer, SparseLinear)}
        recurrent = {name for name in linear if isinstance(self.get_submodule(name.rpartition(".")[0]), UnrolledLSTM)}
        backend = self._sparse_kwargs["backend"]
        found = sparse_layers(self)
        for names in (linear.keys() - recurrent, recurrent):
            chosen = backend
            if backend == "auto":  # the gates by measurement, docs/algorithms.md: acting is by connections either way
                sizes = [(*linear[name].topology.shape, budgets[name]) for name in names]
                chosen = "masked" if names is recurrent else fastest(sizes, kernels=kernels_on(_device(self)))
            layers = [linear[name] for name in names]
            twins = [found[other] for name in names for other in self._target_layers(name)]
            use_backend(self, [layer for layer in (*layers, *twins) if isinstance(layer, SparseLinear)], chosen)

    def backends(self) -> dict[str, str]:
        """How each layer computes, by name: ``"csr"`` or ``"masked"``; convolutions are always dense."""
        assert isinstance(self, nn.Module)
        layers = sparse_layers(self)
        return {name: layer.backend if isinstance(layer, SparseLinear) else "masked" for name, layer in layers.items()}

    def _topologies(
        self, part: Part, rule: TopologyRule, sparsity: float | None, generator: torch.Generator
    ) -> tuple[dict[str, int], dict[str, Topology]]:
        """What the layers of a part are to have, and begin with."""
        options, layers = self._sparse_kwargs, self._counted(part)
        if not layers:
            return {}, {}
        check_kinds(rule, layers)
        weights = {name: layer.weight.detach().flatten(1) for name, layer in layers.items()}
        shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        outputs = [name for name in part.outputs if name in layers]
        dense = frozenset(outputs) if options["dense_output"] else frozenset()
        budgets = allocate(Budget(shapes, sparsity, dense, options["lambdas"], weights), options["distribution"])
        matrices = {name: matrix_shape(layer) for name, layer in layers.items()}
        check_outputs(rule, outputs, budgets, matrices, "dense_output=True")
        with needing_values():
            return budgets, initial_topologies(rule, weights, budgets, generator, options["initial_topology"])

    def _replace(
        self, topologies: Mapping[str, Topology], optimizers: Sequence[torch.optim.Optimizer]
    ) -> dict[str, list[SparseLayer]]:
        """Swap the layers, and those of target networks; returns the latter, by the names of the former."""
        assert isinstance(self, nn.Module)
        share = self._sparse_kwargs["share_topology"]
        twins = {name: self._target_layers(name) for name in topologies}
        everywhere = dict(topologies)
        for name, others in twins.items():
            topology = topologies[name] if share else Topology(topologies[name].edges)
            everywhere |= dict.fromkeys(others, topology)
        deferred = [name for name in topologies if is_deferred(self.get_submodule(name))]
        replaced = replace_layers(self, everywhere, self._sparse_kwargs["weight_init"])
        found = sparse_layers(self)
        for name in deferred:  # targets, which are drawn alike elsewhere, begin as copies
            for other in twins[name]:
                found[other].weight.data.copy_(found[name].weight.data)
        for optimizer in optimizers:
            swap_parameters(optimizer, replaced, found.values())
        return {name: [found[other] for other in others if share] for name, others in twins.items()}

    def _target_layers(self, name: str) -> list[str]:
        """Names of the layers in target networks that follow one."""
        assert isinstance(self, nn.Module)
        layer = self.get_submodule(name)
        aliases = [alias for alias, module in self.named_modules(remove_duplicate=False) if module is layer]
        found = {
            self.get_submodule(target + alias.removeprefix(online)): None
            for alias in aliases
            for online, target in self.targets().items()
            if alias.startswith(f"{online}.")
        }
        return [other for other, module in self.named_modules() if module in found and module is not layer]

    def _sparsities(self, parts: Sequence[Part]) -> dict[str, float | None]:
        """Of each network."""
        sizes = dict.fromkeys((part.network for part in parts), 0)
        for part in parts:
            sizes[part.network] += sum(layer.weight.numel() for layer in self._counted(part).values())
        options = self._sparse_kwargs
        return network_sparsities(sizes, options["sparsity"], options["actor_share"], options["distribution"])

    def _counted(self, part: Part) -> dict[str, DenseLayer]:
        """The layers that the sparsity is of."""
        include, exclude = self._sparse_kwargs["include"], self._sparse_kwargs["exclude"]
        return {
            name: layer
            for name, layer in part.layers().items()
            if is_dense_layer(layer) and matches(name, include) and not matches(name, exclude)
        }

    def _check_names(self, parts: Sequence[Part]) -> None:
        """Patterns that fit no layer are mistakes."""
        names = [name for part in parts for name in part.layers()]
        for option in ("include", "exclude", "distribution"):
            if not isinstance(self._sparse_kwargs[option], str):
                check_patterns(option, self._sparse_kwargs[option], names)

    def _check_rule(self, rule: TopologyRule) -> None:
        if rule.dynamic and self.bypasses_optimizer:
            raise ConfigurationError(
                f"topology={self._sparse_kwargs['topology']!r} acts at optimizer steps. {self.bypasses_optimizer}: use "
                "topology='static'."
            )

    def _options_for(self, kwarg: str, network: str, networks: Mapping[str, Any]) -> dict[str, Any]:
        return {key: by_network(value, key, network, networks) for key, value in self._sparse_kwargs[kwarg].items()}

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """So that ``policy.save`` and ``policy.load`` keep the sparsity, and what Stable-Baselines3 forgets."""
        parameters: dict[str, Any] = super()._get_constructor_parameters()  # type: ignore[misc]
        if self._optimizer_by_default:
            parameters.pop("optimizer_kwargs", None)
        return {**self._dense_kwargs, **parameters, **self._sparse_kwargs}


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _defaults(recipe: Mapping[str, Any], rule: TopologyRule, kind: type[TopologyRule]) -> dict[str, Any]:
    """Of the schedule."""
    end = {"end": RAMP_END} if rule.ramps else {}
    return overlay({**TOPOLOGY_DEFAULTS, **end, **recipe}, kind.reinforcement)
