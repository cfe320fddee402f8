"""SpaceNet, and its static form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.continual.capacity import Capacity, Demand, LayerCapacity, check_room
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.network import Network
from sparse_agents.continual.owners import Owners
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.nn import SparseLayer
from sparse_agents.topology import Rewire

WEIGHT_INITS = ("inherit", "scaled")


@dataclass(frozen=True)
class Block:
    """Part of a layer: units, what they may take their inputs from, and how many connections there are to be."""

    rows: Tensor
    columns: Tensor
    count: int

    def places(self, columns: int) -> Tensor:
        """Ids in a layer of so many columns, row by row."""
        return (self.rows[:, None] * columns + self.columns[None, :]).reshape(-1)


def _union(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else torch.cat([one, other]).unique()


class SpaceNet(ContinualMethod):
    """Every task gets a few connections of its own, between neurons that it contracts to; the rest stays free.

    Sokar, Mocanu, Pechenizkiy, "SpaceNet: Make Free Space for Continual Learning", Neurocomputing 439, 2021; official
    code github.com/GhadaSokar/SpaceNet. No task identity is needed to answer.

    A task draws neurons of each hidden layer among those that no earlier task has reserved, and connections between
    them. They alone are trained, in the presence of all earlier ones. From time to time those of least importance
    ``Ω += |Δw · g|`` move to where the most important neurons are, with weight 0. In the end the most important neurons
    are reserved: nobody grows a connection to or from them any more. While a task is trained, the output units of
    earlier tasks rest.

    Differences from the official code: a neuron's importance is the sum of its connections' at the time, where theirs
    accumulates that sum at every step (``accumulate=True`` for theirs).

    Args:
        neurons: the part of each hidden layer that a task draws.
        reserved: the part of each hidden layer that a task reserves.
        density: of connections among the neurons drawn, one for each layer.
        update_interval: steps between moves; by default a quarter of a task, so that there are three.
        drop_fraction: of a task's connections that move; output layers stay.
        accumulate: count importance as the official code does.
        weight_init: of new connections, ``"inherit"``: as in a dense layer of the whole size, which is the paper's;
            ``"scaled"``: by the neurons drawn and the connections they have.
    """

    def __init__(
        self,
        *args: Any,
        neurons: float = 0.2,
        reserved: float = 0.1,
        density: Sequence[float] = (0.16, 0.25625, 0.5),
        update_interval: int | None = None,
        drop_fraction: float = 0.2,
        accumulate: bool = False,
        weight_init: str = "inherit",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, value in (("neurons", neurons), ("reserved", reserved), ("drop_fraction", drop_fraction)):
            if not 0 <= value <= 1:
                raise ConfigurationError(f"{name}={value} is not in 0..1.")
        if update_interval is not None and update_interval < 1:
            raise ConfigurationError(f"update_interval={update_interval}: at least 1 step.")
        if not all(0 < one <= 1 for one in density):
            raise ConfigurationError(f"density={list(density)}: each between 0 and 1.")
        if weight_init not in WEIGHT_INITS:
            raise unknown("weight_init", weight_init, WEIGHT_INITS)
        self.share, self.reserved_share, self.density = neurons, reserved, tuple(density)
        self.update_interval = update_interval
        self.drop_fraction = drop_fraction
        self.accumulate = accumulate
        self.weight_init = weight_init
        networks = self.learner.networks
        self.steps = dict.fromkeys(networks, 0)
        self.owners = Owners(networks)
        self.free = {
            network.key(name): torch.ones_like(self._all_outputs(layer), dtype=torch.bool)
            for network in networks.values()
            for name, layer in network.trunk.items()
        }
        self.drawn: dict[str, Tensor] = {}
        self.sources: dict[str, Tensor] = {}
        self.importance: dict[str, Tensor] = {}
        self.accumulated: dict[str, Tensor] = {}
        self._before: dict[str, Tensor] = {}
        self.check()

    def prepare(self) -> None:
        """The network begins without connections."""
        for network, name, layer, _ in list(self.owners.layers()):
            nothing = torch.empty(0, dtype=torch.int64, device=layer.weight.device)
            self.owners.rewire(network, name, Rewire.keep(layer.topology.edges, nothing), 0)
            if layer.bias is not None:
                layer.bias.data.zero_()

    def check(self) -> None:
        """Whether there are neurons and densities for all tasks."""
        for network in self.learner.networks.values():
            if not network.heads:
                raise ConfigurationError(
                    f"Network {network.name!r} has no sparse output layer, which every task has connections of its own "
                    "to. Leave out dense_output."
                )
            if len(self.density) != len(network.trunk) + 1:
                raise ConfigurationError(
                    f"density={list(self.density)}: network {network.name!r} has {len(network.trunk) + 1} layers, and "
                    "there is one density for each."
                )
        check_room(self.demands(), self.tasks, "Lower neurons or reserved, or widen the network.")

    def demands(self) -> Sequence[Demand]:
        return [
            Demand(f"{network.name}.{name}", "neurons", self.needed(network, name), layer.topology.shape[0])
            for network in self.learner.networks.values()
            for name, layer in network.trunk.items()
        ]

    def needed(self, network: Network, name: str) -> int:
        """Neurons of a hidden layer: the last task needs as many as it draws, and those before it have reserved
        theirs.
        """
        width = network.trunk[name].topology.shape[0]
        return round(self.reserved_share * width) * (self.tasks - 1) + round(self.share * width)

    # -- allocation

    def allocate(self, task: int) -> None:
        self.steps = dict.fromkeys(self.learner.networks, 0)
        self.drawn, self.sources = {}, {}
        for network in self.learner.networks.values():
            for name, block in self.blocks(network, task):
                key = network.key(name)
                self.drawn[key] = _union(self.drawn.get(key), block.rows)
                self.sources[key] = _union(self.sources.get(key), block.columns)
                self._connect(network, name, block, task)
        self._reset_importance()
        self._rest_heads(task)
        self._open(task)

    def blocks(self, network: Network, task: int) -> Iterator[tuple[str, Block]]:
        """Where the task is to have connections, by layers' names; drawn while they are asked for."""
        sources: Tensor | None = None
        for index, (name, layer) in enumerate(network.layers.items()):
            columns = layer.topology.shape[1]
            if sources is None:
                sources = torch.arange(columns, device=layer.weight.device)
            drawn = self._outputs(task, layer) if name in network.heads else self._draw(network, name, self.share)
            yield name, Block(drawn, sources, round(self._density(index) * len(drawn) * len(sources)))
            if name not in network.heads:
                sources = drawn

    def _density(self, index: int) -> float:
        return self.density[min(index, len(self.density) - 1)]

    def _connect(self, network: Network, name: str, block: Block, task: int) -> None:
        edges = network.layers[name].topology.edges
        candidates = block.places(edges.shape[1])
        candidates = candidates[edges.find(candidates) < 0]
        if block.count > len(candidates):
            raise ConfigurationError(
                f"Task {task + 1} is to have {block.count} connections in {network.name}.{name}, where only "
                f"{len(candidates)} are free between the neurons drawn. Lower density."
            )
        chosen = torch.randperm(len(candidates), generator=self.generator)[: block.count]
        self._grow(network, name, candidates[chosen].sort().values, len(block.rows), task)

    def _outputs(self, task: int, layer: SparseLayer) -> Tensor:
        own = self.learner.outputs(task)
        return self._all_outputs(layer) if own is None else own

    def _all_outputs(self, layer: SparseLayer) -> Tensor:
        return torch.arange(layer.topology.shape[0], device=layer.weight.device)

    def _draw(self, network: Network, name: str, share: float) -> Tensor:
        """So many of a layer's neurons, among those that are free."""
        free = self.free[network.key(name)].nonzero().squeeze(1)
        count = round(share * len(self.free[network.key(name)]))
        return free[torch.randperm(len(free), generator=self.generator)[:count]].sort().values

    def _grow(self, network: Network, name: str, ids: Tensor, units: int, task: int) -> None:
        """New connections of so many units with initial weights."""
        layer = network.layers[name]
        edges = layer.topology.edges
        rewire = Rewire.to(edges, torch.cat([edges.ids, ids]).sort().values)
        self.owners.rewire(network, name, rewire, task)
        fan_out, fan_in = map(float, layer.topology.shape)
        if self.weight_init == "scaled":  # the network that the task draws, and the connections its neurons have
            fan_out, fan_in = units, len(ids) / units
        bound = (6 / (fan_in + fan_out)) ** 0.5
        fresh = torch.empty(len(ids)).uniform_(-bound, bound, generator=self.generator)
        layer.weight.data[rewire.source < 0] = fresh.to(layer.weight)

    # -- training

    def before_step(self, network: Network) -> None:
        for name, layer in network.layers.items():
            self._before[network.key(name)] = layer.weight.detach().clone()

    def after_step(self, network: Network) -> None:
        for name, layer in network.layers.items():
            key = network.key(name)
            if layer.weight.grad is not None:
                self.importance[key] += ((layer.weight.detach() - self._before.pop(key)) * layer.weight.grad).abs()
        if self.accumulate:
            for key, sums in self._neurons(network).items():
                self.accumulated[key] += sums
        self.steps[network.name] += 1
        if self._moves(network, self.steps[network.name]):
            self._move(network)

    def quiet(self, network: Network) -> bool:
        return not self._moves(network, self.steps[network.name] + 1)

    def _moves(self, network: Network, step: int) -> bool:
        length = self.learner.updates(network)
        return step % (self.update_interval or max(1, length // 4)) == 0 and step < length

    def _neurons(self, network: Network) -> dict[str, Tensor]:
        """The importance of each layer's outputs, by that layer; of the network's inputs under the name ``""``."""
        found: dict[str, Tensor] = {}
        for index, (name, layer) in enumerate(network.trunk.items()):
            edges, importance = layer.topology.edges, self.importance[network.key(name)]
            if index == 0:
                inputs = importance.new_zeros(edges.shape[1])
                found[network.key("")] = inputs.index_add(0, edges.col.long(), importance)
            outputs = importance.new_zeros(edges.shape[0]).index_add(0, edges.row, importance)
            found[network.key(name)] = outputs * self.free[network.key(name)]
        return found

    def _move(self, network: Network) -> None:
        """Drop the least important connections of the task, grow between its most important neurons."""
        by_neuron = self._neurons(network)
        if self.accumulate:
            by_neuron = {key: self.accumulated[key] for key in by_neuron}
        before = ""
        for name, layer in network.trunk.items():
            key = network.key(name)
            source_key, before = network.key(before), name
            if key not in self.drawn:
                continue
            edges, drawn, sources = layer.topology.edges, self.drawn[key], self.sources[key]
            own = (self.owners.of[key] == self.task).nonzero().squeeze(1)
            least = self.importance[key][own].argsort(stable=True)
            gain = by_neuron[key][drawn][:, None] * by_neuron[source_key][sources][None, :]
            places = Block(drawn, sources, 0).places(edges.shape[1])
            unused = edges.find(places) < 0
            count = min(int(self.drop_fraction * len(own)), int(unused.sum()))
            best = gain.reshape(-1)[unused].argsort(descending=True, stable=True)[:count]
            kept = torch.ones(edges.nnz, dtype=torch.bool, device=own.device)
            kept[own[least[:count]]] = False
            rewire = Rewire.exchange(edges, kept.nonzero().squeeze(1), places[unused][best], keep_regrown=False)
            self.owners.rewire(network, name, rewire, self.task)
            self.importance[key] = rewire.follow(self.importance[key])
        self._open(self.task)

    def consolidate(self, task: int) -> None:
        for network in self.learner.networks.values():
            by_neuron = self.accumulated if self.accumulate else self._neurons(network)
            for name in network.trunk:
                key = network.key(name)
                if key not in self.drawn:
                    continue
                count = self._reserved(network, name)
                most = by_neuron[key][self.drawn[key]].argsort(descending=True, stable=True)[:count]
                self.free[key][self.drawn[key][most]] = False

    def _reserved(self, network: Network, name: str) -> int:
        """How many neurons of a layer a task reserves."""
        return round(self.reserved_share * len(self.free[network.key(name)]))

    # -- who is who

    def shown(self, task: int | None) -> tuple[Mapping[Any, Tensor], Mapping[nn.Parameter, Tensor]]:
        return self.owners.up_to(task), {}

    def capacity(self) -> Capacity:
        done = self.task if self.finished else self.task - 1
        found = {}
        for network, name, layer, owner in self.owners.layers():
            names = list(network.layers)
            before = names[names.index(name) - 1] if names.index(name) else None
            every = torch.ones_like(self._all_outputs(layer), dtype=torch.bool)
            rows = self.free.get(network.key(name), every)
            columns = torch.ones(layer.topology.shape[1], dtype=torch.bool, device=layer.weight.device)
            if before is not None:
                columns = self.free.get(network.key(before), columns)
            edges = layer.topology.edges
            taken = int((rows[edges.row] & columns[edges.col.long()]).sum())
            found[f"{network.name}.{name}"] = LayerCapacity(
                possible=edges.size,
                free=int(rows.sum()) * int(columns.sum()) - taken,
                frozen=int((owner <= done).sum()),
                shared=int((owner < self.task).sum()),
            )
        return found

    def _reset_importance(self) -> None:
        self.importance = {
            network.key(name): torch.zeros_like(layer.weight.data) for network, name, layer, _ in self.owners.layers()
        }
        self.accumulated = {
            key: torch.zeros_like(sums)
            for network in self.learner.networks.values()
            for key, sums in self._neurons(network).items()
        }

    def _rest_heads(self, task: int) -> None:
        """Output units of other tasks are stored, and count for nothing while this one is trained."""
        for network in self.learner.networks.values():
            for name, layer in network.heads.items():
                own = self.owners.of[network.key(name)] == task
                edges = layer.topology.edges
                if self.learner.outputs(task) is not None:
                    layer.topology.replace(edges.with_active(None if bool(own.all()) else own))

    def _open(self, task: int) -> None:
        """The task's connections, biases as below, and norms in the first task."""
        for network in self.learner.networks.values():
            masks: dict[nn.Parameter, Tensor] = {}
            for name, layer in network.layers.items():
                key = network.key(name)
                masks[layer.weight] = self.owners.of[key] == task
                if layer.bias is not None:
                    masks[layer.bias] = self.open_biases(network, name, task)
            for parameter in network.others.values():
                masks[parameter] = torch.full_like(parameter, task == 0, dtype=torch.bool)
            self.gates[network.name].open = masks

    def open_biases(self, network: Network, name: str, task: int) -> Tensor:
        """Bool ``[units]``: of neurons that nobody has reserved, and of the task's output units."""
        if name not in network.heads:
            return self.free[network.key(name)].clone()
        head = network.heads[name]
        rows = torch.zeros_like(self._all_outputs(head), dtype=torch.bool)
        rows[self._outputs(task, head)] = True
        return rows

    def get_extra_state(self) -> dict[str, Any]:
        return {
            **super().get_extra_state(),
            "steps": dict(self.steps),
            "owners": dict(self.owners.of),
            "free": dict(self.free),
            "drawn": dict(self.drawn),
            "sources": dict(self.sources),
            "importance": dict(self.importance),
            "accumulated": dict(self.accumulated),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.steps = dict(state["steps"])
        self.owners.of = dict(state["owners"])
        for name in ("free", "drawn", "sources", "importance", "accumulated"):
            setattr(self, name, dict(state[name]))
        if self.task >= 0:
            self._open(self.task)


class StaticSpaceNet(SpaceNet):
    """SpaceNet without drop and grow: the connections that were drawn are the task's."""

    def _move(self, network: Network) -> None:
        """Stay."""
