"""Sparsity in the training log."""

from __future__ import annotations

from collections.abc import Sequence

from stable_baselines3.common.callbacks import BaseCallback

from sparse_agents.callbacks.monitors import BY_DEFAULT, MONITORS, Monitor
from sparse_agents.callbacks.watched import Log, Watched
from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.nn import SparseLayer
from sparse_agents.topology import Rewire


class SparsityCallback(BaseCallback):
    """Writes to Stable-Baselines3's logger, and so to TensorBoard, per layer and in total (the terminal gets totals).

    What it writes is told by its monitors, ``sparse_agents.callbacks.MONITORS``, and in docs/monitoring.md.

    It reads, and never draws from a random generator that training uses: a run with it is bit for bit the
    run without it.

    Args:
        log_every: environment steps between records; there is one at the end, too. Each is written at once, whatever
            ``log_interval`` is.
        recent: transitions that units and action values are looked at on, the most recent ones; 0 to leave that out.
        monitors: names of some; by default all but ``distance``, which needs SciPy and time.
    """

    def __init__(
        self, log_every: int = 1000, recent: int = 256, monitors: Sequence[str] = BY_DEFAULT, verbose: int = 0
    ) -> None:
        super().__init__(verbose)
        if log_every < 1:
            raise ConfigurationError(f"log_every={log_every}: at least 1 environment step between records.")
        for name in monitors:
            if name not in MONITORS:
                raise unknown("monitor", name, MONITORS)
        self.log_every = log_every
        self.recent = recent
        self.monitors: dict[str, Monitor] = {name: MONITORS[name]() for name in monitors}
        self._records = 0
        self._next_record = 0
        self._recorded_at: int | None = None

    def _watched(self) -> Watched:
        return Watched(self.model, self.recent)

    def _on_training_start(self) -> None:
        watched = self._watched()
        for controller in watched.controllers.values():
            if self._rewired not in controller.listeners:
                controller.listeners.append(self._rewired)
        for monitor in self.monitors.values():
            monitor.begin(watched)
        self._next_record = self.num_timesteps + self.log_every
        self._recorded_at = None

    def _on_training_end(self) -> None:
        if self._recorded_at != self.num_timesteps:
            self._record()
        for controller in self._watched().controllers.values():
            controller.listeners.remove(self._rewired)

    def _rewired(self, name: str, layer: SparseLayer, rewire: Rewire) -> None:
        for monitor in self.monitors.values():
            monitor.rewired(name, rewire)

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next_record:
            self._next_record = self.num_timesteps + self.log_every
            self._record()
        return True

    def _record(self) -> None:
        watched, log = self._watched(), Log(self.model)
        for monitor in self.monitors.values():
            if self._records % monitor.every == 0:
                monitor.record(watched, log)
        self._records += 1
        self._recorded_at = self.num_timesteps
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
