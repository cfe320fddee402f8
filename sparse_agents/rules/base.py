"""What a topology rule is: which connections go, and which come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError
from sparse_agents.rules.scores import largest_edges
from sparse_agents.rules.view import LayerView, Update
from sparse_agents.topology import Edges, Moment, Rewire, Schedule, complement, random_edges

ITOP_INTERVALS = {False: 1500, True: 4000}
"""Updates far apart, so that connections are explored before they are judged (Liu et al. 2021, section 4.2): for random
growth, and for growth by gradient."""


def overlay(defaults: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a schedule over defaults. A default ``begin`` belongs to the default interval, and goes with it."""
    kept = {k: v for k, v in defaults.items() if k != "begin" or "update_interval" not in settings}
    return {**kept, **settings}


class TopologyRule(ABC):
    """One instance serves all layers of an optimizer. What a rule does not declare it does not get.

    A rule keeps nothing in itself: what it must remember goes into the memories of the layers and of the update,
    which are saved with the policy.
    """

    dynamic: bool = True
    """Whether the topology ever changes."""
    needs_dense_gradient: bool = False
    """Whether ``update`` reads ``layer.probe``."""
    convolutions: bool = True
    """Whether its layers may be convolutions, whose weights many units share."""
    needs_curvature: bool = False
    """Whether ``update`` reads ``layer.curvature``."""
    every_step: bool = False
    """Whether ``before_step`` and ``after_step`` are called."""
    replaces_step: bool = False
    """Whether the update takes the place of that optimizer step, or follows it."""
    ramps: bool = False
    """Whether the number of connections changes between the first update and the last, so that an end is needed."""
    competes: bool = False
    """Whether connections of different layers compete for a place, so that only the sum over layers is fixed."""
    blocks: bool = False
    """Whether blocks of connections can stand for connections (``block_size``): the rule reads no more of a layer than
    edges, weights and gradients, and overrides neither ``new_weights`` nor what happens at every step."""
    whole_units: bool = False
    """Whether units come and go with all their connections, output units too."""
    published: ClassVar[Mapping[str, Any]] = {"update_interval": 100, "drop_fraction": 0.3, "schedule": "constant"}
    """The paper's schedule for supervised learning."""
    reinforcement: ClassVar[Mapping[str, Any]] = {}
    """The schedule in policies, where it differs from what they give every rule."""
    timed: bool = True
    """Whether the options of the schedule mean something to the rule."""
    reinforcement_options: ClassVar[Mapping[str, Any]] = {}
    """Options of the rule's own in policies, where they differ from what ``__init__`` says."""
    itop: ClassVar[bool] = False
    """Whether ``schedule="itop"`` is published for it."""

    def start(self, budget: int, size: int) -> int:
        """Connections a layer begins with, of ``size`` possible ones."""
        return budget

    def wanted(self, layer: LayerView, moment: Moment) -> int:
        """Connections a layer has after the update at a moment; over all layers only the sum holds."""
        return layer.budget

    def initial_edges(self, name: str, weight: Tensor, budget: int, generator: torch.Generator) -> Edges:
        """The topology a layer begins with.

        Args:
            name: the layer's, for messages.
            weight: the dense layer's initial weights, ``[out_features, in_features]``.
            budget: connections the layer is to have in the end.
            generator: the only source of randomness.
        """
        shape = (weight.shape[0], weight.shape[1])
        return random_edges(shape, self.start(budget, weight.numel()), generator)

    def largest_edges(self, name: str, weight: Tensor, budget: int) -> Edges:
        """As :meth:`initial_edges`, but those of the largest |weight|: ``initial_topology="magnitude"``."""
        return largest_edges(weight, self.start(budget, weight.numel()))

    def schedule(self, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Schedule | None:
        """When to update, from the user's options over the defaults; None for never.

        ``schedule="itop"`` stands for the settings of Liu et al. (2021) for this kind of growth.
        """
        settings = overlay(defaults, options)
        if settings.get("schedule") == "itop":
            if not self.itop:
                raise ConfigurationError(
                    f"schedule='itop' sets the intervals of Liu et al. (2021) for 'set' and 'rigl', and this is "
                    f"{type(self).__name__}. Give update_interval and drop_fraction."
                )
            itop = {"update_interval": ITOP_INTERVALS[self.needs_dense_gradient], "drop_fraction": 0.5}
            settings = {**overlay(overlay(defaults, itop), options), "schedule": "constant"}
        made = Schedule(**settings)
        if self.ramps and made.end is None:
            raise ConfigurationError(
                f"{type(self).__name__} changes the number of connections up to `end`, the last update's step, which "
                "is not set. Give topology_kwargs={'end': ...}, about as many optimizer steps as the run will have."
            )
        return made if self.dynamic else None

    @abstractmethod
    def update(self, update: Update) -> Sequence[Rewire | None]:
        """The rewiring of each layer, None where there is nothing to do."""

    def new_weights(self, layer: LayerView, rewire: Rewire) -> Tensor:
        """Values of the connections that ``rewire`` grows, ``[grown]``; their moments are zero."""
        return layer.weight.new_zeros(int((rewire.source < 0).sum()))

    def before_step(self, layer: LayerView) -> None:  # noqa: B027  most rules do nothing here
        """With ``every_step``: before each optimizer step; may change ``layer.gradient`` in place."""

    def after_step(self, layer: LayerView) -> None:  # noqa: B027
        """With ``every_step``: after each optimizer step; may change ``layer.weight`` in place."""


class ExchangeRule(TopologyRule):
    """Drops some connections of a layer and grows as many. Layers that have every connection are left alone."""

    keep_regrown: bool = False
    """Whether a connection that is dropped and grown at once keeps its value and moments."""

    @abstractmethod
    def drop(self, layer: LayerView, fraction: float) -> Tensor:
        """Slots to drop, int64, distinct."""

    @abstractmethod
    def grow(self, layer: LayerView, survivors: Tensor, count: int) -> Tensor:
        """``count`` linear positions to grow, none of them in ``survivors`` (sorted, int64)."""

    def update(self, update: Update) -> Sequence[Rewire | None]:
        return [self.exchange(layer, update.moment.fraction) for layer in update.layers]

    def exchange(self, layer: LayerView, fraction: float) -> Rewire | None:
        """The rewiring of one layer."""
        if layer.edges.nnz == layer.edges.size:
            return None
        return replace(layer, self.drop(layer, fraction), self)


def replace(layer: LayerView, drop: Tensor, rule: ExchangeRule) -> Rewire | None:
    """Drop these slots and let the rule grow as many."""
    edges = layer.edges
    problem = _indices(drop, edges.nnz, "drops", "slots")
    if problem is None:
        if len(drop) == 0:
            return None
        kept = complement(drop, edges.nnz)
        grown = rule.grow(layer, edges.ids[kept], len(drop))
        problem = _indices(grown, edges.size, "grows", "positions")
        if len(kept) + len(drop) != edges.nnz:
            problem = "drops a connection twice"
        elif problem is None and len(grown) != len(drop):
            problem = f"grows {len(grown)} connections where it dropped {len(drop)}"
    if problem is None:
        rewire = Rewire.exchange(edges, kept, grown, rule.keep_regrown)
        if bool((rewire.edges.ids.diff() > 0).all()):
            return rewire
        problem = "grows a position twice, or one that is taken"
    raise ConfigurationError(f"{type(rule).__name__} {problem}, in layer {layer.name!r}. Mend its drop() or grow().")


def _indices(found: object, count: int, verb: str, kind: str) -> str | None:
    """What keeps ``found`` from being int64 indices below ``count``, None if nothing does."""
    if not isinstance(found, Tensor):
        return f"{verb} {type(found).__name__}, not a tensor of {kind}"
    if found.dtype != torch.int64 or found.ndim != 1:
        return f"{verb} a {found.dtype} tensor of shape {tuple(found.shape)}, not int64 {kind} [n]"
    if len(found) and (int(found.min()) < 0 or int(found.max()) >= count):
        return f"{verb} {kind} outside 0..{count - 1}"
    return None
