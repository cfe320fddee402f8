"""What all continual-learning methods have in common."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparse_agents.continual.capacity import Capacity, Demand, LayerCapacity
from sparse_agents.continual.companions import Companion
from sparse_agents.continual.gate import Gate
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.network import Network
from sparse_agents.continual.showing import showing
from sparse_agents.control import StepListener


class ContinualMethod(nn.Module, ABC):
    """Learns tasks one after the other.

    A method is told of tasks (:meth:`begin_task`, :meth:`end_task`) and of every optimizer step in between
    (:meth:`before_step`, :meth:`after_step`). This one does nothing at all: fine-tuning.

    A module only so that its state is saved: what it knows is in buffers and extra state. It looks after the learner's
    networks, which belong to the learner.

    Args:
        learner: whose networks are looked after.
        tasks: how many there will be.
        seed: of everything the method draws.

    Attributes:
        task: the task in training, or the last one, from 0; -1 before the first.
        finished: whether that task has ended.
        gates: by network, what optimizer steps may change.
        companion: what keeps units able to learn, if anything does.
    """

    needs_identity: ClassVar[bool] = False
    """Whether tasks can only be told apart by being told: training uses the logits of the task alone."""
    never_forgets: ClassVar[bool] = False
    """Whether a task's view gives the same bits for ever."""
    keeps_experience: ClassVar[bool] = False
    """Whether an agent's replay buffer goes on from task to task."""
    no_agents: ClassVar[str] = ""
    """Why it cannot train agents, if it cannot."""
    data: ClassVar[str] = "task"
    """What is trained on: ``"task"``, or ``"all"`` tasks so far."""

    def __init__(self, learner: Learner, tasks: int, *, seed: int = 0) -> None:
        super().__init__()
        self.learner = learner
        self.tasks = tasks
        self.task = -1
        self.finished = True
        self.generator = torch.Generator().manual_seed(seed)
        self.gates: dict[str, Gate] = {}
        self.companion: Companion | None = None
        for network in learner.networks.values():
            steps = _Steps(self, network)
            network.optimizer.register_step_pre_hook(steps.enter)
            self.gates[network.name] = Gate(network.optimizer)
            network.optimizer.register_step_post_hook(steps.leave)

    # -- for methods to define

    def prepare(self) -> None:
        """Of a new run, before anything: networks that begin otherwise than the learner has made them."""

    def allocate(self, task: int) -> None:
        """Before a task is trained."""

    def consolidate(self, task: int) -> None:
        """After a task was trained, its data still at hand."""

    def before_step(self, network: Network) -> None:
        """With this step's gradients, which may be changed."""

    def after_step(self, network: Network) -> None:
        """With the gradients of the step that was taken, closed parts at zero."""

    def quiet(self, network: Network) -> bool:
        """Whether the next step leaves its layers the connections they have."""
        return True

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Of a minibatch in supervised learning."""
        return self.learner.loss(self.learner.answer(inputs), labels)

    def shown(self, task: int | None) -> tuple[Mapping[Any, Tensor], Mapping[nn.Parameter, Tensor]]:
        """What :func:`showing` is to show of a task: connections of layers, values of parameters."""
        return {}, {}

    def whole(self, network: Network) -> AbstractContextManager[None]:
        """Within, between steps, parameters hold what is trained, where that is not what is in use."""
        return nullcontext()

    def demands(self) -> Sequence[Demand]:
        """What all tasks together need of its layers, where the method knows it beforehand."""
        return []

    def capacity(self) -> Capacity:
        """By layer."""
        return {
            f"{network.name}.{name}": LayerCapacity(layer.topology.edges.size, layer.topology.nnz, 0, 0)
            for network in self.learner.networks.values()
            for name, layer in network.layers.items()
        }

    # -- for whoever runs the sequence

    def begin_task(self, task: int) -> None:
        """The task's training starts.

        Raises:
            ConfigurationError: where the network has no room for it.
        """
        assert self.finished
        assert task == self.task + 1
        self.allocate(task)
        self.task, self.finished = task, False

    def end_task(self) -> None:
        """The training of the task is over."""
        assert not self.finished
        self.consolidate(self.task)
        self.learner.close()
        self.finished = True

    def view(self, task: int | None) -> AbstractContextManager[None]:
        """Within, the network is what a learned task sees; all there is for None, and for tasks yet to come."""
        known = task if task is not None and task <= self.task else None
        connections, values = self.shown(known)
        return showing(connections, {**self.learner.private(known), **values})

    def get_extra_state(self) -> dict[str, Any]:
        companion = {} if self.companion is None else {"companion": self.companion.state()}
        return {
            **companion,
            "task": torch.tensor(self.task),
            "finished": torch.tensor(self.finished),
            "generator": self.generator.get_state(),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.task = int(state["task"])
        self.finished = bool(state["finished"])
        self.generator.set_state(state["generator"].cpu())
        if self.companion is not None:
            self.companion.restore(state["companion"])


class _Steps(StepListener):
    """Tells a method of the steps of a network's optimizer, while a task is in training."""

    def __init__(self, method: ContinualMethod, network: Network) -> None:
        self._method, self._network = method, network

    @property
    def quiet(self) -> bool:
        return self._method.finished or self._method.quiet(self._network)

    def enter(self, *_: Any) -> None:
        if not self._method.finished:
            self._method.before_step(self._network)

    def leave(self, *_: Any) -> None:
        method, network = self._method, self._network
        if not method.finished:
            method.after_step(network)
            if method.companion is not None:
                with method.whole(network):
                    method.companion.after_step(network)
