"""Bars against figures."""

from __future__ import annotations

from sparse_agents.benchmark import Record
from sparse_agents.benchmark.cuda import CSR
from sparse_agents.benchmark.cuda_agents import GRAPH
from sparse_agents.benchmark.gpu_bars import BARS, verdicts


def figure(case: str, sparsity: float, contender: str, seconds: float, baseline: float) -> Record:
    return Record(case, sparsity, 1, 0, contender, "dense", seconds, baseline, baseline / seconds)


STEP = "TD3 gradient step, HalfCheetah-v5, 256x256, CUDA"
LAYER = "layer 4096x4096, CUDA"


def test_what_is_reached_and_what_is_not() -> None:
    records = [
        figure(STEP, 0.9, "sparse_agents", 110e-6, 2.5e-3),
        figure(STEP, 0.9, GRAPH, 100e-6, 2.5e-3),
        figure(LAYER, 0.9, "sparse_agents", 1e-3, 2.1e-3),
        figure(LAYER, 0.9, CSR, 1.9e-3, 2.1e-3),
        figure(LAYER, 0.95, "sparse_agents", 1e-3, 2.1e-3),
        figure("topology update by set, layer 4096x4096, CUDA", 0.95, "sparse_agents", 1.5e-3, 0.1),
        figure("minibatch of 1,002,000 neurons, 2 connections, CUDA", 0.999, "sparse_agents", 0.25, 1.0),
    ]
    found = {verdict.bar: (verdict.met, verdict.measured) for verdict in verdicts(records)}
    assert found.keys() == BARS.keys()
    assert found["TD3 gradient step, 256x256, 90%: at most 0.120 ms"] == (True, "0.110 ms")
    assert found["TD3 gradient step, 90%: 25× Stable-Baselines3's"] == (False, "22.73×")
    assert found["TD3 gradient step, 90%: no slower than dense in a graph"] == (False, "0.91×")
    assert found["layer 4096x4096, 90%: 2× dense"] == (True, "2.10×")
    assert found["layer 4096x4096, 90%: 2× cuSPARSE"] == (False, "1.90×")
    assert found["layer 4096x4096, 95%: 4× dense"] == (False, "2.10×")
    assert found["layer 4096x4096, 98%: 8× dense"] == (None, "no figure of sparse_agents, layer 4096x4096")
    assert found["topology update, 4096x4096, 95%: at most 1 ms"] == (False, "1.500 ms")
    assert found["a million neurons learn"] == (True, "250.0 ms a minibatch")
