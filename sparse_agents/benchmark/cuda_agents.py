"""Whole agents on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sparse_agents.benchmark.agents import PAIRS, new_agent
from sparse_agents.benchmark.replay import fill
from sparse_agents.benchmark.timing import Record
from sparse_agents.runs import gradient_step_seconds

GRAPH = "dense, in one graph"


def cuda_agents(
    algorithm: str = "TD3", env_id: str = "HalfCheetah-v5", width: int = 256, batch: int = 256,
    sparsities: Sequence[float] = (0.9, 0.95), device: str = "cuda", steps: int = 200,
) -> Iterator[Record]:  # fmt: skip
    """Gradient steps, against Stable-Baselines3's as they are and against dense matrices in a graph like ours."""
    dense, sparse = PAIRS[algorithm]
    models = {"dense": new_agent(dense, env_id, width, batch, device=device)}
    for sparsity in (0.0, *sparsities):
        models[f"{sparsity}"] = new_agent(sparse, env_id, width, batch, sparsity, device=device)
    for model in models.values():
        fill(model)
    seconds = gradient_step_seconds(models, batch, steps)
    case = f"{algorithm} gradient step, {env_id}, {width}x{width}, {device.upper()}"
    baseline, label = seconds["dense"], f"Stable-Baselines3's {algorithm}"
    for sparsity in sparsities:
        for name, value in (("sparse_agents", seconds[f"{sparsity}"]), (GRAPH, seconds["0.0"])):
            yield Record(case, sparsity, batch, 0, name, label, value, baseline, baseline / value)
