"""What a method may ask of whoever trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from sparse_agents.continual.network import Network
from sparse_agents.errors import ConfigurationError


class Learner(ABC):
    """A model in training, supervised or an agent.

    Attributes:
        networks: by name.
    """

    networks: Mapping[str, Network]

    @abstractmethod
    def outputs(self, task: int) -> Tensor | None:
        """Indices of the output units that belong to a task alone; None where all tasks share them."""

    @abstractmethod
    def fisher(self, task: int) -> Mapping[nn.Parameter, Tensor]:
        """The diagonal of the Fisher information of what the model says about a task's data."""

    @abstractmethod
    def train_on(self, task: int, steps: int) -> None:
        """Gradient steps on a task's data, without new experience."""

    @abstractmethod
    def start_afresh(self, task: int) -> None:
        """Other initial weights, moments at nothing."""

    @abstractmethod
    def steps_per_task(self) -> int:
        """Steps of the optimizers that the training of a task takes."""

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Of labelled samples.

        Raises:
            ConfigurationError: where there are none.
        """
        raise ConfigurationError(f"{type(self).__name__} learns from rewards, and has no loss of labelled samples.")

    def reset_optimizers(self) -> None:
        """Moments back to nothing."""
        for network in self.networks.values():
            for parameter in [p for group in network.optimizer.param_groups for p in group["params"]]:
                network.optimizer.state.pop(parameter, None)
