"""PackNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.continual.capacity import Capacity, Demand, LayerCapacity, check_room
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.network import Network
from sparse_agents.continual.openings import openings
from sparse_agents.continual.owners import Owners
from sparse_agents.errors import ConfigurationError


class PackNet(ContinualMethod):
    """Each task keeps its largest weights, and leaves the others to those that come.

    Mallya and Lazebnik, "PackNet: Adding Multiple Tasks to a Single Network by Iterative Pruning", CVPR 2018; official
    code github.com/arunmallya/packnet. In reinforcement learning as in github.com/awarelab/continual_world.

    A task trains all weights that no earlier one has kept, in the presence of those. Then its smallest are set to zero,
    layer by layer, and given to the next task; what it keeps is trained on for a while, and is fixed from then on. A
    task sees its own weights and those of the tasks before it, so that it is never forgotten. Biases and norms are
    fixed after the first task; the output units of a task are its own.

    Args:
        prune: the part of a task's weights that it leaves; by default an equal share for all tasks (Continual World).
        retrain_steps: gradient steps on what is left; by default half as many as a task has steps.
    """

    needs_identity = True
    never_forgets = True

    def __init__(self, *args: Any, prune: float | None = None, retrain_steps: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if prune is not None and not 0 < prune < 1:
            raise ConfigurationError(f"prune={prune} is not between 0 and 1.")
        self.prune = prune
        self.retrain_steps = self.learner.length // 2 if retrain_steps is None else retrain_steps
        if self.retrain_steps < 0:
            raise ConfigurationError(f"retrain_steps={self.retrain_steps}: at least 0.")
        if self.retrain_steps:
            self.learner.check_experience("retrain_steps:0 leaves out the training on what a task keeps")
        self.owners = Owners(self.learner.networks)
        check_room(self.demands(), self.tasks, "Lower the sparsity, or leave more to later tasks (prune).")
        for network, name, layer, owner in self.owners.layers():
            if name in network.heads:
                for task in range(self.tasks):
                    own = self.learner.outputs(task)
                    if own is not None:
                        owner[torch.isin(layer.topology.edges.row, own)] = task

    def demands(self) -> Sequence[Demand]:
        """A connection for every task in every layer."""
        found = []
        for network, name, layer, _ in self.owners.layers():
            if self._is_shared(network, name):
                nnz = layer.topology.nnz
                left = nnz if self.prune is None else int(nnz * self.prune ** (self.tasks - 1))
                room = nnz if self.prune is None else (self.tasks if left else 0)
                found.append(Demand(f"{network.name}.{name}", "connections", self.tasks, room))
        return found

    def allocate(self, task: int) -> None:
        self._open(task)

    def consolidate(self, task: int) -> None:
        if task == self.tasks - 1:
            return
        left = self.tasks - task - 1
        share = left / (left + 1) if self.prune is None else self.prune
        for network, name, layer, owner in self.owners.layers():
            if self._is_shared(network, name):
                own = (owner == task).nonzero().squeeze(1)
                by_size = layer.weight.detach()[own].abs().argsort(stable=True)
                given = own[by_size[: int(share * len(own))]]
                layer.weight.data[given] = 0
                owner[given] = task + 1
        self._open(task, biases=False)
        self.learner.reset_optimizers()
        self.learner.train_on(task, self.retrain_steps)
        self.learner.reset_optimizers()

    def shown(self, task: int | None) -> tuple[Mapping[Any, Tensor], Mapping[nn.Parameter, Tensor]]:
        return ({} if task is None else self.owners.up_to(task)), {}

    def capacity(self) -> Capacity:
        done = self.task if self.finished else self.task - 1
        return {
            f"{network.name}.{name}": LayerCapacity(
                possible=layer.topology.edges.size,
                free=int((owner > self.task).sum()),
                frozen=int((owner <= done).sum()),
                shared=int((owner < self.task).sum()) if self._is_shared(network, name) else 0,
            )
            for network, name, layer, owner in self.owners.layers()
        }

    def _is_shared(self, network: Network, name: str) -> bool:
        """Whether a layer is divided among tasks by pruning; output units of a task's own are not."""
        return name in network.trunk or self.learner.outputs(0) is None

    def _open(self, task: int, biases: bool = True) -> None:
        """To optimizer steps: the task's connections, its output units, and biases and norms in the first task."""
        weights = {key: owner == task for key, owner in self.owners.of.items()}
        for network in self.learner.networks.values():
            masks = openings(network, weights, self.learner.outputs(task), others=task == 0 and biases)
            self.gates[network.name].open = masks

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "owners": dict(self.owners.of)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.owners.of = dict(state["owners"])
        if self.task >= 0:
            self._open(self.task)
