"""Sparsity in the training log."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import nn

from sparse_agents.callbacks.dormant import dormant_fractions
from sparse_agents.callbacks.exploration import Exploration
from sparse_agents.control import TopologyController
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLayer
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.topology import Rewire

FLOPS_PER_CONNECTION = 6
"""Per sample and training step: 2 forward and 4 backward, as Evci et al. (2020, appendix H) count."""


class SparsityCallback(BaseCallback):
    """Writes to Stable-Baselines3's logger, and so to TensorBoard, per layer and in total (the terminal gets totals):

    - ``sparsity/…``, ``connections/…``: fraction absent, number present;
    - ``topology/dropped/…``, ``topology/grown/…``: connections exchanged since training began;
    - ``topology/exploration/…``: ITOP rate, the fraction of all connections ever tried;
    - ``dormant/…``: fraction of dormant hidden units, on recent transitions;
    - ``flops/training``, ``flops/relative_to_dense``: cumulative, 6 per connection and sample of every
      optimizer step (target networks and acting not counted; a convolution's once, not per pixel), and its ratio to the
      dense network's. Nothing where the algorithm has no ``batch_size``.

    It reads, and never draws from a random generator that training uses: a run with it is bit for bit the
    run without it.

    Args:
        log_every: environment steps between records; there is one at the end, too.
        dormant_batch: recent transitions to look for dormant units on; 0 to leave that out.
    """

    def __init__(self, log_every: int = 1000, dormant_batch: int = 256, verbose: int = 0) -> None:
        super().__init__(verbose)
        if log_every < 1:
            raise ConfigurationError(f"log_every={log_every}: at least 1 environment step between records.")
        self.log_every = log_every
        self.dormant_batch = dormant_batch
        self.flops = 0.0
        self.dense_flops = 0.0
        self._exploration: dict[str, Exploration] = {}
        self._exchanged: dict[str, list[int]] = {}
        self._counted: dict[str, int] = {}
        self._next_record = 0

    @property
    def _policy(self) -> SparsePolicyMixin:
        policy = self.model.policy
        if not isinstance(policy, SparsePolicyMixin):
            raise ConfigurationError(
                f"SparsityCallback has nothing to report of {type(policy).__name__}: use a sparse policy, "
                'such as "SparseMlpPolicy".'
            )
        return policy

    @property
    def _controllers(self) -> dict[str, TopologyController]:
        controllers: dict[str, Any] = dict(self._policy.topology_controllers.items())
        return controllers

    def _on_training_start(self) -> None:
        for network, controller in self._controllers.items():
            self._counted.setdefault(network, controller.steps)
            if self._rewired not in controller.listeners:
                controller.listeners.append(self._rewired)
            for name, layer in controller.layers.items():
                self._exploration.setdefault(name, Exploration(layer.topology.edges))
                self._exchanged.setdefault(name, [0, 0])
        self._next_record = self.num_timesteps + self.log_every

    def _on_training_end(self) -> None:
        self._record()
        for controller in self._controllers.values():
            controller.listeners.remove(self._rewired)

    def _rewired(self, name: str, layer: SparseLayer, rewire: Rewire) -> None:
        self._exploration[name].add(rewire.edges)
        self._exchanged[name][0] += rewire.dropped
        self._exchanged[name][1] += rewire.grown

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next_record:
            self._next_record = self.num_timesteps + self.log_every
            self._record()
        return True

    def _record(self) -> None:
        self._record_topology()
        self._record_flops()
        self._record_dormant()

    def _record_topology(self) -> None:
        nnz = size = dropped = grown = 0
        explored = 0.0
        for controller in self._controllers.values():
            for name, layer in controller.layers.items():
                edges = layer.topology.edges
                exchanged = self._exchanged[name]
                self._record_layer(f"sparsity/{name}", 1 - edges.density)
                self._record_layer(f"connections/{name}", edges.nnz)
                self._record_layer(f"topology/dropped/{name}", exchanged[0])
                self._record_layer(f"topology/grown/{name}", exchanged[1])
                self._record_layer(f"topology/exploration/{name}", self._exploration[name].rate)
                nnz, size = nnz + edges.nnz, size + edges.size
                dropped, grown = dropped + exchanged[0], grown + exchanged[1]
                explored += self._exploration[name].rate * edges.size
        self.logger.record("sparsity/total", 1 - nnz / size)
        self.logger.record("connections/total", nnz)
        self.logger.record("topology/dropped/total", dropped)
        self.logger.record("topology/grown/total", grown)
        self.logger.record("topology/exploration/total", explored / size)

    def _record_layer(self, key: str, value: float) -> None:
        """A layer's own figure: to TensorBoard and CSV, but the terminal would drown in them."""
        self.logger.record(key, value, exclude=("stdout", "log"))

    def _record_flops(self) -> None:
        parts = self._policy.parts()
        for name, controller in self._controllers.items():
            steps = controller.steps - self._counted[name]
            self._counted[name] += steps
            samples = steps * int(getattr(self.model, "batch_size", 0))
            for part in (part for part in parts if part.optimizer == name):
                present, dense = part.weights()
                self.flops += FLOPS_PER_CONNECTION * present * samples
                self.dense_flops += FLOPS_PER_CONNECTION * dense * samples
        if self.dense_flops:
            self.logger.record("flops/training", self.flops)
            self.logger.record("flops/relative_to_dense", self.flops / self.dense_flops)

    def _record_dormant(self) -> None:
        buffer = getattr(self.model, "replay_buffer", None)
        if not self.dormant_batch or not isinstance(buffer, ReplayBuffer) or buffer.size() == 0:
            return
        activations: dict[str, nn.Module] = {}
        for part in self._policy.parts():
            activations |= part.hidden_activations()
        data = self._recent(buffer)
        fractions = dormant_fractions(activations, lambda: self._policy.run_networks(data.observations, data.actions))
        for name, fraction in fractions.items():
            self._record_layer(f"dormant/{name}", fraction)
        self.logger.record("dormant/total", float(np.mean(list(fractions.values()))))

    def _recent(self, buffer: ReplayBuffer) -> ReplayBufferSamples:
        """The most recent transitions, leaving the random state as it was."""
        recent = (buffer.pos - 1 - np.arange(min(self.dormant_batch, buffer.size()))) % buffer.buffer_size
        state = np.random.get_state()  # noqa: NPY002  the buffer picks environments by the global generator
        try:
            return buffer._get_samples(recent, env=self.model.get_vec_normalize_env())
        finally:
            np.random.set_state(state)  # noqa: NPY002
