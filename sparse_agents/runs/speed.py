"""How long a gradient step takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm


def gradient_step_seconds(
    models: Mapping[str, OffPolicyAlgorithm], batch_size: int, steps: int = 40, rounds: int = 5
) -> dict[str, float]:
    """Median seconds per gradient step of each model, the models taking turns.

    Needs filled replay buffers; the models are trained by it.
    """
    times: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.set_logger(Logger(folder=None, output_formats=[]))
        model.train(10, batch_size)  # warm up
    for _ in range(rounds):
        for name, model in models.items():
            _wait(model)
            begin = time.perf_counter()
            model.train(steps, batch_size)
            _wait(model)
            times[name].append((time.perf_counter() - begin) / steps)
    return {name: statistics.median(values) for name, values in times.items()}


def _wait(model: OffPolicyAlgorithm) -> None:
    """For what a device has been given to do."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
