"""AFAF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sparse_agents.continual.activity import Activity
from sparse_agents.continual.methods.spacenet import Block, SpaceNet
from sparse_agents.continual.network import Network
from sparse_agents.errors import ConfigurationError


class AFAF(SpaceNet):
    """Like SpaceNet, but later tasks build on what neurons of earlier ones know.

    Sokar, Mocanu, Pechenizkiy, "Avoiding Forgetting and Allowing Forward Transfer in Continual Learning via Sparse
    Networks", ECML PKDD 2022, algorithm 1; official code github.com/GhadaSokar/AFAF.

    The first tasks take connections as in SpaceNet. A later one leaves the first layers as they are, and for each of
    its classes looks which neurons are most active in the network so far. These, reserved or not, and some free ones
    are what new connections come from; they end in free neurons only, in the last hidden layer in those that were
    drawn, all of which are reserved afterwards. A neuron's importance is that of what goes out from it.

    Told which task it is, the network answers with the task's connections and those before it, none of which anybody
    changes: nothing is forgotten. For that, biases are trained by the first task that draws their neuron, and those of
    outputs that tasks share by the first task (the official code trains biases of all neurons that are not reserved).

    An agent's observations are of one class.

    Args:
        neurons: the part of each hidden layer that a task draws.
        reserved: the part of each hidden layer but the last that a task reserves.
        reuse_from: the first task, from 0, that builds on others.
        reused_layers: so many layers, from the input on, have no new connections from then on.
        reuse: of the neurons that a task draws, the part that is chosen by activity for each class.
        **kwargs: as for :class:`SpaceNet`.
    """

    never_forgets = True

    def __init__(
        self,
        *args: Any,
        neurons: float = 0.2,
        reserved: float = 0.06,
        reuse_from: int = 2,
        reused_layers: int = 1,
        reuse: float = 0.3,
        **kwargs: Any,
    ) -> None:
        self.reuse_from, self.reused_layers, self.reuse = reuse_from, reused_layers, reuse
        self.used: dict[str, Tensor] = {}
        super().__init__(*args, neurons=neurons, reserved=reserved, **kwargs)
        self.learner.check_activity()
        if not 0 <= reuse <= 1:
            raise ConfigurationError(f"reuse={reuse} is not in 0..1.")
        for network in self.learner.networks.values():
            if not 1 <= reused_layers < len(network.trunk):
                raise ConfigurationError(
                    f"reused_layers={reused_layers}: network {network.name!r} has {len(network.trunk)} hidden layers, "
                    "and at least the first is reused, the last never."
                )
        self.used = {key: torch.zeros_like(free) for key, free in self.free.items()}
        self.activity: list[Activity] = []

    def needed(self, network: Network, name: str) -> int:
        """All that a task draws of the last hidden layer stays reserved."""
        if name != list(network.trunk)[-1]:
            return super().needed(network, name)
        return round(self.share * network.trunk[name].topology.shape[0]) * self.tasks

    def allocate(self, task: int) -> None:
        self.activity = self.learner.activity(task) if task >= self.reuse_from else []
        super().allocate(task)

    def blocks(self, network: Network, task: int) -> Iterator[tuple[str, Block]]:
        if task < self.reuse_from:
            yield from super().blocks(network, task)
            return
        trunk, kinds = list(network.trunk), len(self.activity)
        top = self._draw(network, trunk[-1], self.share)
        further = {name: self._draw(network, name, (1 - self.reuse) * self.share) for name in trunk[:-1]}
        for kind in self.activity:
            for name, layer in network.heads.items():
                rows = self._all_outputs(layer) if kind.outputs is None else kind.outputs
                yield name, self._block(len(trunk), rows, top, of=1 if kind.outputs is not None else kinds)
            rows = top
            for index in reversed(range(self.reused_layers, len(trunk))):
                below = trunk[index - 1]
                key = network.key(below)
                most = kind.of[key].argsort(descending=True, stable=True)
                candidates = most[: round(self.reuse * self.share * len(most))]
                columns = torch.cat([candidates, further[below]]).unique()
                yield trunk[index], self._block(index, rows, columns, of=kinds)
                rows = columns[self.free[key][columns]]

    def _block(self, index: int, rows: Tensor, columns: Tensor, of: int) -> Block:
        """One of so many that share these neurons."""
        return Block(rows, columns, round(self._density(index) * len(rows) * len(columns) / of))

    def _neurons(self, network: Network) -> dict[str, Tensor]:
        """By what goes out from them; of the network's inputs under the name ``""``."""
        found: dict[str, Tensor] = {}
        names = ["", *network.trunk]
        for index, (name, layer) in enumerate(network.layers.items()):
            key, edges = network.key(names[min(index, len(network.trunk))]), layer.topology.edges
            sums = found.get(key, layer.weight.new_zeros(edges.shape[1]))
            found[key] = sums.index_add(0, edges.col.long(), self.importance[network.key(name)])
        return found

    def _reserved(self, network: Network, name: str) -> int:
        last = name == list(network.trunk)[-1]
        return len(self.drawn[network.key(name)]) if last else super()._reserved(network, name)

    def consolidate(self, task: int) -> None:
        super().consolidate(task)
        for key, used in self.used.items():
            if key in self.drawn:
                used[self.drawn[key]] = True

    def open_biases(self, network: Network, name: str, task: int) -> Tensor:
        if name not in network.heads:
            return self.free[network.key(name)] & ~self.used[network.key(name)]
        if self.learner.outputs(task) is not None:
            return super().open_biases(network, name, task)
        return torch.full_like(self._all_outputs(network.heads[name]), task == 0, dtype=torch.bool)

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "used": dict(self.used)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.used = dict(state["used"])
        super().set_extra_state(state)
