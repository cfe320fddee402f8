"""Whole agents: gradient steps, and steps of ``learn()``, against dense ones and against masks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sparse_agents.algorithms import DSSAC, DSTD3
from sparse_agents.benchmark.agent_rivals import OfficialDSTD3, sbx_agent
from sparse_agents.benchmark.masks import masked
from sparse_agents.benchmark.replay import fill
from sparse_agents.benchmark.timing import Record, alternate
from sparse_agents.runs import gradient_step_seconds, make_env

PAIRS: Mapping[str, tuple[type[OffPolicyAlgorithm], type[OffPolicyAlgorithm]]] = {
    "TD3": (TD3, DSTD3),
    "SAC": (SAC, DSSAC),
}
ROUNDS = 5
SBX = "Stable-Baselines-Jax, dense"


def agents(
    algorithm: str = "TD3",
    env_id: str = "HalfCheetah-v5",
    width: int = 256,
    batch: int = 256,
    sparsities: Sequence[float] = (0.0, 0.5, 0.9, 0.95),
    masks: bool = True,
    rivals: bool = False,
    official: Path | None = None,
) -> Iterator[Record]:
    """Gradient steps on random transitions: Stable-Baselines3's own, the same with masks, and ours.

    ``rivals``: also those of :mod:`sparse_agents.benchmark.agent_rivals`, ``official`` being for DS-TD3's.
    """
    names, models = _contenders(algorithm, env_id, width, batch, sparsities, masks, rivals)
    for model in models.values():
        fill(model)
    if rivals and official is not None and algorithm == "TD3":
        models["official DS-TD3"] = OfficialDSTD3(official, env_id, width, max(sparsities))
    seconds = gradient_step_seconds(models, batch, rounds=ROUNDS)
    case = f"{algorithm} gradient step, {env_id}, {width}x{width}"
    yield from _records(case, batch, algorithm, names, seconds)


def learning(
    algorithm: str = "TD3", env_id: str = "HalfCheetah-v5", width: int = 256, batch: int = 256, sparsity: float = 0.9,
    steps: int = 300, rivals: bool = False,
) -> Iterator[Record]:  # fmt: skip
    """Steps of ``learn()``: acting, the environment, the replay buffer and one gradient step each."""
    names, models = _contenders(algorithm, env_id, width, batch, [sparsity], rivals=rivals, action_noise=_noise(env_id))
    times: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.learn(2 * batch)
    for _ in range(ROUNDS):
        for name, model in models.items():
            begin = time.perf_counter()
            model.learn(steps, reset_num_timesteps=False)
            times[name].append((time.perf_counter() - begin) / steps)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    case = f"{algorithm} step of learn(), {env_id}, {width}x{width}"
    yield from _records(case, batch, algorithm, names, seconds)


def predictions(
    algorithm: str = "TD3", env_id: str = "HalfCheetah-v5", width: int = 256, sparsity: float = 0.9,
    rivals: bool = False,
) -> Iterator[Record]:  # fmt: skip
    """``predict()`` of one observation: Stable-Baselines3's, with masks, and ours."""
    names, models = _contenders(algorithm, env_id, width, 1, [sparsity], rivals=rivals)
    observation = make_env(env_id, 0).observation_space.sample()
    seconds = alternate(
        {name: partial(model.predict, observation, deterministic=True) for name, model in models.items()}
    )
    yield from _records(f"{algorithm} predict, {env_id}, {width}x{width}", 1, algorithm, names, seconds)


def _contenders(
    algorithm: str, env_id: str, width: int, batch: int, sparsities: Sequence[float], masks: bool = True,
    rivals: bool = False, **settings: Any,
) -> tuple[dict[float, str], dict[str, Any]]:  # fmt: skip
    """Names of ours by sparsity, and all agents by name."""
    dense, sparse = PAIRS[algorithm]
    names = {sparsity: f"{sparse.__name__} {sparsity:.0%}" for sparsity in sparsities}
    models: dict[str, Any] = {"dense": new_agent(dense, env_id, width, batch, **settings)}
    if masks:
        models["masks"] = masked(new_agent(dense, env_id, width, batch, **settings), max(sparsities))
    if rivals and (agent := sbx_agent(algorithm, env_id, width, batch, **settings)) is not None:
        models[SBX] = agent
    models |= {name: new_agent(sparse, env_id, width, batch, at, **settings) for at, name in names.items()}
    return names, models


def new_agent(
    kind: type[OffPolicyAlgorithm], env_id: str, width: int, batch: int, sparsity: float | None = None, **settings: Any
) -> OffPolicyAlgorithm:
    """With two hidden layers: one of Stable-Baselines3's, or of ours at a sparsity, outputs included."""
    policy: dict[str, Any] = {"net_arch": [width, width]}
    if sparsity is not None:
        policy |= {"sparsity": sparsity, "distribution": "erk", "dense_output": False}
    name = "MlpPolicy" if sparsity is None else "SparseMlpPolicy"
    model: Any = kind(
        name, make_env(env_id, 0), batch_size=batch, learning_starts=batch, seed=0, policy_kwargs=policy,
        **{"buffer_size": 20_000, "device": "cpu", **settings},
    )  # fmt: skip
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model  # type: ignore[no-any-return]


def _noise(env_id: str) -> NormalActionNoise:
    shape = make_env(env_id, 0).action_space.shape
    assert shape is not None
    return NormalActionNoise(np.zeros(shape), np.full(shape, 0.1))


def _records(
    case: str, batch: int, algorithm: str, names: Mapping[float, str], seconds: Mapping[str, float]
) -> Iterator[Record]:
    baseline, threads = seconds["dense"], torch.get_num_threads()
    label = f"Stable-Baselines3's {algorithm}"
    for sparsity, name in names.items():
        value = seconds[name]
        yield Record(case, sparsity, batch, threads, "sparse_agents", label, value, baseline, baseline / value)
    for other in (name for name in seconds if name != "dense" and name not in names.values()):
        value = seconds[other]
        for sparsity in names:  # dense agents and masks cost the same, whatever these hide
            yield Record(case, sparsity, batch, threads, other, label, value, baseline, baseline / value)
