"""Agents of other libraries, where they are installed or given."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse_agents.benchmark.replay import dimensions
from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import make_env

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def sbx_agent(algorithm: str, env_id: str, width: int, batch: int, **settings: Any) -> Any | None:
    """The agent of Stable-Baselines-Jax, dense and compiled; None where it is not installed."""
    if importlib.util.find_spec("sbx") is None:
        return None
    if torch.get_num_threads() == 1:
        os.environ.setdefault("XLA_FLAGS", ONE_THREAD)  # before JAX is imported
    kind = getattr(importlib.import_module("sbx"), algorithm)
    return kind(
        "MlpPolicy", make_env(env_id, 0), policy_kwargs={"net_arch": [width, width]}, buffer_size=20_000,
        batch_size=batch, learning_starts=batch, seed=0, **settings,
    )  # fmt: skip


class OfficialDSTD3:
    """The code published with Sokar et al. (2022), on random transitions; it has masks on dense matrices.

    Args:
        folder: a checkout of github.com/GhadaSokar/Dynamic-Sparse-Training-for-Deep-Reinforcement-Learning.
        env_id: for the shapes of its spaces.
        width: of the hidden layers.
        sparsity: of the hidden layers; what it costs does not depend on it.
    """

    def __init__(self, folder: Path, env_id: str, width: int, sparsity: float) -> None:
        if not (folder / "DS_TD3.py").is_file():
            raise ConfigurationError(f"--official {folder}: there is no DS_TD3.py.")
        observations, actions = dimensions(env_id)
        with _importing_from(folder), redirect_stdout(io.StringIO()):
            theirs, utilities = importlib.import_module("DS_TD3"), importlib.import_module("utils")
            lambdas = [
                max(1, round((1 - sparsity) * inputs * width / (inputs + width)))
                for inputs in (observations + actions, width)
            ]
            self._agent = theirs.SETSparseTD3(
                state_dim=observations, action_dim=actions, max_action=1.0, noHidNeurons=width,
                epsilonHid1=lambdas[0], epsilonHid2=lambdas[1],
            )  # fmt: skip
            self._buffer = utilities.ReplayBuffer(observations, actions, max_size=20_000)
        rng = np.random.default_rng(0)
        for _ in range(5000):
            now, then = rng.standard_normal((2, observations))
            self._buffer.add(now, rng.uniform(-1, 1, actions), then, rng.standard_normal(), 0.0)

    def train(self, gradient_steps: int, batch_size: int) -> None:
        with redirect_stdout(io.StringIO()):
            for _ in range(gradient_steps):
                self._agent.train(self._buffer, batch_size)

    def set_logger(self, logger: Any) -> None:
        """It has none."""


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
