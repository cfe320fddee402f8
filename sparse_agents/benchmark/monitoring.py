"""What ``SparsityCallback`` costs, TensorBoard's writing included."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from stable_baselines3.common.logger import configure

from sparse_agents.algorithms import DSTD3
from sparse_agents.benchmark.agents import new_agent
from sparse_agents.benchmark.replay import fill
from sparse_agents.callbacks import MONITORS, SparsityCallback
from sparse_agents.callbacks.monitors import BY_DEFAULT
from sparse_agents.runs import gradient_step_seconds

ALL = "by default"


@dataclass(frozen=True)
class MonitoringCost:
    """Of one monitor, or of all that are there by default, as ``--json`` writes it."""

    monitors: str
    every: int
    """One in so many records is written."""
    median_seconds: float
    mean_seconds: float
    """Of a record, those included at which there is nothing to write."""
    longest_seconds: float
    step_seconds: float
    """Of a native gradient step."""
    share: float
    """Of the time of a thousand gradient steps, one record being made for them."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def monitoring(
    env_id: str = "HalfCheetah-v5", width: int = 256, batch: int = 256, sparsity: float = 0.9, records: int = 101
) -> Iterator[MonitoringCost]:
    """Contenders take turns at records of one DS-TD3 agent, which trains in between."""
    model = new_agent(DSTD3, env_id, width, batch, sparsity)
    fill(model)
    step = gradient_step_seconds({"": model}, batch)[""]
    contenders = {ALL: BY_DEFAULT, **{name: (name,) for name in MONITORS}}
    callbacks = {name: SparsityCallback(log_every=1, monitors=monitors) for name, monitors in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in callbacks}
    with tempfile.TemporaryDirectory() as folder:
        model.set_logger(configure(folder, ["tensorboard"]))
        for callback in callbacks.values():
            callback.init_callback(model)
            callback.on_training_start({}, {})
        for _ in range(records):
            model.train(20, batch)
            for name, callback in callbacks.items():
                model.num_timesteps += 1
                begin = time.perf_counter()
                callback.on_step()
                seconds[name].append(time.perf_counter() - begin)
        model.logger.close()
    for name, times in seconds.items():
        every = MONITORS[name].every if name in MONITORS else 1
        mean = statistics.mean(times)
        yield MonitoringCost(name, every, statistics.median(times), mean, max(times), step, mean / (1000 * step))
