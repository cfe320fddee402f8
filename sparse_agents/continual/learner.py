"""Whoever trains: what a method, and the runner of a sequence, may ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from sparse_agents.continual.activity import Activity
from sparse_agents.continual.network import Network
from sparse_agents.errors import ConfigurationError

if TYPE_CHECKING:
    from sparse_agents.continual.method import ContinualMethod


class Learner(ABC):
    """A model in training, supervised or an agent.

    Attributes:
        tasks: names of the tasks, in order.
        networks: by name.
        step: of the task in training.
        length: steps of a task.
        labelled: whether it learns from labelled samples.
    """

    labelled: ClassVar[bool]

    tasks: Sequence[str]
    networks: Mapping[str, Network]
    step: int
    length: int

    # -- for the runner

    @abstractmethod
    def learn(self, method: ContinualMethod, between: Callable[[int], None]) -> None:
        """Train the method's current task, from where it stands, to its end.

        Args:
            method: which has begun the task.
            between: called with :attr:`step` whenever everything can be evaluated and saved.
        """

    def close(self) -> None:  # noqa: B027  most have nothing to do
        """A task is over, and the method has done with it."""

    @abstractmethod
    def scores(self, method: ContinualMethod) -> Mapping[str, Sequence[float]]:
        """Of every task now, by what is known of it: ``"known"`` or ``"unknown"`` identity."""

    @abstractmethod
    def save(self, folder: Path) -> dict[str, Any]:
        """What another learner is made from when the run goes on: tensors and plain values, the rest in the folder."""

    # -- for methods

    def parameters(self) -> dict[str, nn.Parameter]:
        """Of all networks, by their keys."""
        return {
            network.key(name): parameter
            for network in self.networks.values()
            for name, parameter in network.parameters()
        }

    def private(self, task: int | None) -> Mapping[nn.Parameter, Tensor]:
        """Values of parameters that a task has for itself, where they are not in place."""
        return {}

    @abstractmethod
    def outputs(self, task: int) -> Tensor | None:
        """Indices of the output units that belong to a task alone; None where all tasks share them."""

    @abstractmethod
    def fisher(self, task: int) -> Mapping[nn.Parameter, Tensor]:
        """The diagonal of the Fisher information of what the model says about a task's data."""

    @abstractmethod
    def activity(self, task: int) -> list[Activity]:
        """Of the networks as they are, on a task that is about to begin, for every kind of its samples."""

    @abstractmethod
    def train_on(self, task: int, steps: int) -> None:
        """Gradient steps on a task's data, without new experience."""

    def check_experience(self, why: str) -> None:  # noqa: B027  classifiers have their data
        """Whether there is a task's data to train on again.

        Raises:
            ConfigurationError: where there is none.
        """

    def check_fisher(self) -> None:  # noqa: B027
        """Whether :meth:`fisher` can be told.

        Raises:
            ConfigurationError: where it cannot.
        """

    def check_activity(self) -> None:  # noqa: B027
        """Whether :meth:`activity` can be told.

        Raises:
            ConfigurationError: where it cannot.
        """

    @abstractmethod
    def start_afresh(self, task: int) -> None:
        """Weights as before the first task, or drawn again; moments at nothing."""

    @abstractmethod
    def updates(self, network: Network) -> int:
        """Steps of a network's optimizer that the training of a task takes."""

    def answer(self, inputs: Tensor) -> Tensor:
        """What a classifier says of samples, ``[samples, classes]``.

        Raises:
            ConfigurationError: where there are none.
        """
        raise ConfigurationError(f"{type(self).__name__} learns from rewards, and not from samples.")

    def loss(self, answers: Tensor, labels: Tensor) -> Tensor:
        """Of a classifier's answers.

        Raises:
            ConfigurationError: where there are none.
        """
        raise ConfigurationError(f"{type(self).__name__} learns from rewards, and not from labels.")

    def reset_optimizers(self) -> None:
        """Moments back to nothing."""
        for network in self.networks.values():
            for parameter in [p for group in network.optimizer.param_groups for p in group["params"]]:
                network.optimizer.state.pop(parameter, None)
