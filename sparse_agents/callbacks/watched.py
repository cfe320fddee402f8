"""An agent as monitors see it, and where they write."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Image
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor, nn

from sparse_agents.control import TopologyController
from sparse_agents.errors import ConfigurationError
from sparse_agents.measures import outputs_of
from sparse_agents.nn import SparseLayer
from sparse_agents.policies import SparsePolicyMixin

NOT_ON_THE_TERMINAL = ("stdout", "log")
TENSORBOARD_ALONE = ("stdout", "log", "json", "csv")


class Watched:
    """At the moment of a record. It reads, and never draws from a random generator that training uses.

    Args:
        model: with a sparse policy.
        batch: recent transitions that networks are looked at on; 0 to leave that out.

    Raises:
        ConfigurationError: for other policies.
    """

    def __init__(self, model: BaseAlgorithm, batch: int) -> None:
        policy = model.policy
        if not isinstance(policy, SparsePolicyMixin):
            raise ConfigurationError(
                f"SparsityCallback has nothing to report of {type(policy).__name__}: use a sparse policy, "
                'such as "SparseMlpPolicy".'
            )
        self.model, self.policy, self._batch = model, policy, batch

    @property
    def controllers(self) -> dict[str, TopologyController]:
        """By the name of what trains their layers."""
        controllers: dict[str, Any] = dict(self.policy.topology_controllers.items())
        return controllers

    @property
    def layers(self) -> dict[str, SparseLayer]:
        """Online ones by name, in order."""
        return {name: layer for one in self.controllers.values() for name, layer in one.layers.items()}

    @cached_property
    def recent(self) -> ReplayBufferSamples | None:
        """The most recent transitions; None where none are kept, or wanted."""
        buffer = vars(self.model).get("replay_buffer")
        if not self._batch or not isinstance(buffer, ReplayBuffer) or buffer.size() == 0:
            return None
        places = (buffer.pos - 1 - np.arange(min(self._batch, buffer.size()))) % buffer.buffer_size
        state = np.random.get_state()  # noqa: NPY002  the buffer picks environments by the global generator
        try:
            return buffer._get_samples(places, env=self.model.get_vec_normalize_env())
        finally:
            np.random.set_state(state)  # noqa: NPY002

    @cached_property
    def hidden_outputs(self) -> dict[str, Tensor]:
        """``[transitions, units]`` by layer of hidden units, on the most recent transitions, where some are kept."""
        recent = self.recent
        if recent is None:
            return {}
        activations: dict[str, nn.Module] = {}
        for part in self.policy.parts():
            activations |= part.hidden_activations()
        return outputs_of(activations, lambda: self.policy.run_networks(recent.observations, recent.actions))


class Log:
    """Stable-Baselines3's logger: totals for everybody, what there is of every layer not for the terminal, pictures for
    TensorBoard alone.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._logger = model.logger

    def total(self, key: str, value: float) -> None:
        self._logger.record(key, value)

    def layer(self, key: str, value: float) -> None:
        self._logger.record(key, value, exclude=NOT_ON_THE_TERMINAL)

    def layers(self, group: str, values: Mapping[str, float]) -> None:
        """Of every layer, and their mean as the total; nothing where there are no layers."""
        for name, value in values.items():
            self.layer(f"{group}/{name}", value)
        if values:
            self.total(f"{group}/total", float(np.mean(list(values.values()))))

    def histogram(self, key: str, values: Tensor) -> None:
        self._logger.record(key, values, exclude=TENSORBOARD_ALONE)

    def picture(self, key: str, values: NDArray[np.float64]) -> None:
        """``[height, width]``, any numbers; the largest is white, 0 or the smallest black."""
        low, high = min(0.0, float(values.min())), float(values.max())
        shown = ((values - low) / (high - low or 1.0) * 255).astype(np.uint8)
        self._logger.record(key, Image(shown, "HW"), exclude=TENSORBOARD_ALONE)
