"""What keeps networks able to learn, beside any method: units that are of no use begin anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from sparse_agents.continual.activity import watched
from sparse_agents.continual.gate import Gate
from sparse_agents.continual.network import Network
from sparse_agents.control.optimizer_state import map_moments
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import DenseLayer, SparseLayer

DECAY = 0.99


class Companion(ABC):
    """Looks at hidden units after every optimizer step, and renews some.

    A renewed unit has fresh incoming weights, no bias, outgoing weights of 0, and none of the optimizer's moments.
    Units with a connection that a gate has closed belong to other tasks, and are left alone; so are biases that a gate
    has closed, which other tasks compute with.

    Args:
        networks: to look after.
        gates: by network.
        generator: of fresh weights.
    """

    def __init__(self, networks: Mapping[str, Network], gates: Mapping[str, Gate], generator: torch.Generator) -> None:
        for network in networks.values():
            if not network.activations:
                raise ConfigurationError(
                    f"{type(self).__name__} needs an activation behind each hidden layer, and network {network.name!r} "
                    "has others."
                )
        self._gates, self._generator = gates, generator
        self._steps = dict.fromkeys(networks, 0)
        self._watching = ExitStack()
        self._seen = self._watching.enter_context(watched(networks, training=True))

    def after_step(self, network: Network) -> None:
        self._steps[network.name] += 1
        for name in network.trunk:
            values = self._seen.get(network.key(name))
            if values is not None:
                self.look(network, name, values)

    @abstractmethod
    def look(self, network: Network, name: str, values: Tensor) -> None:
        """At a layer, with what its units said in the step's forward pass, ``[samples, units]``."""

    def free(self, network: Network, name: str) -> Tensor:
        """Bool ``[units]``: all of their connections are open."""
        gate, layer = self._gates[network.name], network.trunk[name]
        closed = torch.zeros(layer.topology.shape[0], device=layer.weight.device)
        closed.index_add_(0, _ends(layer)[0], (~gate.is_open(layer.weight)).flatten().float())
        for below in network.fed_by(name):
            closed.index_add_(0, _ends(below)[1], (~gate.is_open(below.weight)).flatten().float())
        return closed == 0

    @torch.no_grad()
    def renew(self, network: Network, name: str, units: Tensor, mean: Tensor | None = None) -> None:
        """Let units ``[k]`` of a layer begin anew.

        Args:
            network, name, units: which.
            mean: what they said on average, ``[k]``, which the biases of what they feed are to make up for.
        """
        layer, optimizer = network.trunk[name], network.optimizer
        rows, _ = _ends(layer)
        incoming = torch.isin(rows, units)
        fan_in = torch.bincount(rows, minlength=layer.topology.shape[0])[rows[incoming]]
        drawn = torch.empty(int(incoming.sum())).uniform_(-1, 1, generator=self._generator)
        layer.weight.data[incoming] = (drawn.to(fan_in.device) * (6 / fan_in) ** 0.5).to(layer.weight.dtype)
        _forget(optimizer, layer.weight, incoming)
        gate = self._gates[network.name]
        if layer.bias is not None:
            own = torch.zeros_like(layer.bias, dtype=torch.bool)
            own[units] = True
            own &= gate.is_open(layer.bias)
            layer.bias.data[own] = 0
            _forget(optimizer, layer.bias, own)
        for below in network.fed_by(name):
            targets, sources = _ends(below)
            outgoing = torch.isin(sources, units)
            if mean is not None and below.bias is not None:
                said = below.weight.new_zeros(layer.topology.shape[0])
                said[units] = mean.to(said.dtype)
                weights = below.weight.data.flatten()[outgoing]
                made_up = torch.zeros_like(below.bias)
                made_up.index_add_(0, targets[outgoing], weights * said[sources[outgoing]])
                below.bias.data.add_(made_up * gate.is_open(below.bias))
            outgoing = outgoing.view_as(below.weight)
            below.weight.data[outgoing] = 0
            _forget(optimizer, below.weight, outgoing)

    def state(self) -> dict[str, Any]:
        """To be saved."""
        return {"steps": dict(self._steps)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """What :meth:`state` has said."""
        self._steps = dict(state["steps"])


class ReDo(Companion):
    """Every so often units that are dormant are renewed.

    Sokar, Agarwal, Castro, Evci, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", ICML 2023, algorithm
    1; official code github.com/google/dopamine, labs/redo. A unit is dormant whose mean |activation| is at most
    ``threshold`` times that of its layer. Of Adam's state the moments are reset; its count of steps belongs to whole
    layers.

    Args:
        interval: optimizer steps.
        threshold: τ.
        **kwargs: as for :class:`Companion`.
    """

    def __init__(self, *args: Any, interval: int = 1000, threshold: float = 0.025, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.interval, self.threshold = interval, threshold

    def look(self, network: Network, name: str, values: Tensor) -> None:
        if self._steps[network.name] % self.interval:
            return
        score = values.abs().mean(dim=0)
        dormant = (score <= self.threshold * score.mean()) & self.free(network, name)
        if dormant.any():
            self.renew(network, name, dormant.nonzero().squeeze(1))


class ContinualBackprop(Companion):
    """All the time the least useful of the units that are old enough are renewed.

    Dohare et al., "Loss of plasticity in deep continual learning", Nature 632, 2024, algorithm 1; official code
    github.com/shibhansh/loss-of-plasticity. A unit's utility is a moving average of its mean |activation| times the sum
    of its outgoing |weights|. What a unit said on average goes into the biases of what it fed. Of Adam's state the
    moments are reset; its count of steps belongs to whole layers, where the official Adam counts them weight by weight.

    Args:
        rate: units renewed at each step, as a part of those old enough.
        maturity: steps after which a unit is old enough.
        **kwargs: as for :class:`Companion`.
    """

    def __init__(self, *args: Any, rate: float = 1e-4, maturity: int = 10_000, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rate, self.maturity = rate, maturity
        self.units: dict[str, dict[str, Tensor]] = {}

    def look(self, network: Network, name: str, values: Tensor) -> None:
        nothing = torch.zeros(values.shape[1], device=values.device)
        of = self.units.setdefault(
            network.key(name),
            {**{what: nothing.clone() for what in ("age", "utility", "mean")}, "due": torch.zeros(1)},
        )
        of["age"] += 1
        outgoing = nothing
        for below in network.fed_by(name):
            weights = below.weight.detach().flatten().abs()
            outgoing.index_add_(0, _ends(below)[1], weights.float())
        of["utility"].lerp_(outgoing * values.abs().mean(dim=0).float(), 1 - DECAY)
        of["mean"].lerp_(values.mean(dim=0).float(), 1 - DECAY)
        old = (of["age"] > self.maturity) & self.free(network, name)
        of["due"] += self.rate * int(old.sum())
        due = int(of["due"])
        if due == 0:
            return
        of["due"] -= due
        corrected = 1 - DECAY ** of["age"]
        utility = (of["utility"] / corrected).masked_fill(~old, torch.inf)
        least = utility.argsort(stable=True)[: min(due, int(old.sum()))]
        self.renew(network, name, least.sort().values, (of["mean"] / corrected)[least.sort().values])
        for what in ("age", "utility", "mean"):
            of[what][least] = 0

    def state(self) -> dict[str, Any]:
        units = {key: {what: value.clone() for what, value in of.items()} for key, of in self.units.items()}
        return {**super().state(), "units": units}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.units = {key: dict(of) for key, of in state["units"].items()}


COMPANIONS: Mapping[str, type[Companion]] = {"cbp": ContinualBackprop, "redo": ReDo}


def _ends(layer: SparseLayer | DenseLayer) -> tuple[Tensor, Tensor]:
    """Rows and columns of a layer's weights, in their order."""
    if isinstance(layer, SparseLayer):
        edges = layer.topology.edges
        return edges.row.long(), edges.col.long()
    places = torch.arange(layer.weight.numel(), device=layer.weight.device)
    columns = layer.weight.shape[1]
    return places.div(columns, rounding_mode="floor"), places % columns


def _forget(optimizer: torch.optim.Optimizer, parameter: Tensor, where: Tensor) -> None:
    map_moments(optimizer, parameter, parameter.shape, lambda moment: moment.masked_fill(where, 0))
