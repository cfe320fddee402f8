"""What the benchmark of agents on a CUDA device measures, here on the processor."""

from __future__ import annotations

from sparse_agents.benchmark.cuda_agents import GRAPH, cuda_agents


def test_ours_and_dense_ones_in_a_graph_against_stable_baselines3() -> None:
    records = list(cuda_agents(env_id="Pendulum-v1", width=16, batch=16, sparsities=[0.5, 0.8], device="cpu", steps=3))
    assert [(r.contender, r.sparsity) for r in records] == [
        ("sparse_agents", 0.5), (GRAPH, 0.5), ("sparse_agents", 0.8), (GRAPH, 0.8),
    ]  # fmt: skip
    assert {r.baseline for r in records} == {"Stable-Baselines3's TD3"}
    assert records[1].seconds == records[3].seconds
    assert all(r.ratio == r.baseline_seconds / r.seconds for r in records)
