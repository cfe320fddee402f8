"""Runs on a Ray cluster, whose machines see the same files."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.commands import Engine, TrainCommand


def ray_engine(address: str | None) -> tuple[Engine, int]:
    """Starts commands as tasks of one CPU each; and how many the cluster can run at a time.

    Args:
        address: of a cluster, such as ``auto``; None for one on this machine, which ends with the process.

    Raises:
        ConfigurationError: where Ray is not installed, or there is no cluster at the address.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigurationError("--engine ray needs Ray: pip install sparse-agents[ray].") from error
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, ValueError, TimeoutError, RuntimeError) as error:
        raise ConfigurationError(f"--ray-address {address}: {error}") from error
    remote = ray.remote(num_cpus=1, max_retries=0)(_run)

    def start(command: TrainCommand) -> _Task:
        placed = replace(command, folder=command.folder.resolve())
        return _Task(ray, remote.remote(placed, os.getcwd(), list(sys.path)))

    return start, max(1, int(ray.cluster_resources().get("CPU", 1)))


def _run(command: TrainCommand, folder: str, path: list[str]) -> int:
    """On a machine of the cluster, in the folder that the sweep was started in."""
    os.chdir(folder)
    process = command.start()
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return process.wait()


class _Task:
    """What is asked of a process, of a task."""

    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def poll(self) -> int | None:
        done, _ = self._ray.wait([self._reference], timeout=0)
        return self._code() if done else None

    def send_signal(self, sig: int) -> None:
        self._ray.cancel(self._reference, force=False)

    def wait(self) -> int:
        return self._code()

    def _code(self) -> int:
        try:
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayError:  # cancelled, or its machine is gone
            return 1
