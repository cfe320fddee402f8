"""What only sparse storage makes possible, or costs, on a CUDA device: rewiring, and networks of any width."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from sparse_agents.benchmark.timing import Record
from sparse_agents.control import sparsify
from sparse_agents.experiments.gene_expression import GeneExpression, planted
from sparse_agents.experiments.set_mlp import SIZES, SetMLP, Size

PROCESSOR = "the processor"
INTERVAL = 4


def cuda_rewiring(
    size: int = 4096, sparsity: float = 0.95, batch: int = 256, rules: Sequence[str] = ("set", "rigl"),
    updates: int = 12, device: str = "cuda",
) -> Iterator[Record]:  # fmt: skip
    """A topology update of one layer alone, 30% of its connections replaced, and what it costs the next pass."""
    for rule in rules:
        seconds = {place: _update_seconds(rule, size, sparsity, batch, updates, place) for place in (device, "cpu")}
        case = f"topology update by {rule}, layer {size}x{size}, {device.upper()}"
        ratio = seconds["cpu"] / seconds[device]
        yield Record(case, sparsity, batch, 0, "sparse_agents", PROCESSOR, seconds[device], seconds["cpu"], ratio)


def cuda_million(
    size: Size = SIZES["million"], data: GeneExpression | None = None, steps: int = 10, device: str = "cuda"
) -> Iterator[Record]:
    """Minibatches of a network of a million neurons.

    Raises:
        RuntimeError: where it does not learn.
    """
    data = planted() if data is None else data
    seconds = {}
    for place in (device, "cpu"):
        model = SetMLP(size, data, device=place)
        x, y = data.x[: size.batch], data.y[: size.batch]
        losses: list[float] = []
        times = _times(lambda: losses.append(model.step(x, y)), steps if place == device else 3, place)  # noqa: B023
        seconds[place] = statistics.median(times[1:])
        if not losses[-1] < losses[0]:  # nor where it is no number
            raise RuntimeError(f"The loss of {model.units:,} neurons went from {losses[0]:.3f} to {losses[-1]:.3f}.")
    case = f"minibatch of {model.units:,} neurons, {model.controller.connections:,} connections, {device.upper()}"
    sparsity, ratio = size.sparsity(data.x.shape[1], data.classes), seconds["cpu"] / seconds[device]
    yield Record(case, sparsity, size.batch, 0, "sparse_agents", PROCESSOR, seconds[device], seconds["cpu"], ratio)


def _update_seconds(rule: str, size: int, sparsity: float, batch: int, updates: int, device: str) -> float:
    """By which passes and optimizer steps take longer for an update: the pass before it may look at gradients that no
    other needs, and the one after it arranges the new connections.
    """
    network = nn.Sequential(nn.Linear(size, size, device=device))
    timing = {"update_interval": INTERVAL, "drop_fraction": 0.3, "schedule": "constant"}
    controller = sparsify(network, sparsity=sparsity, topology=rule, topology_kwargs=timing, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    controller.attach(optimizer)
    x = torch.randn(batch, size, device=device)
    passes, steps = [], []
    for _ in range(INTERVAL * updates):
        optimizer.zero_grad()
        passes += _times(lambda: network(x).square().mean().backward(), 1, device)
        steps += _times(optimizer.step, 1, device)
    (after, _, usual, before), (_, _, plain, due) = (
        [statistics.median(times[INTERVAL + i :: INTERVAL]) for i in range(INTERVAL)] for times in (passes, steps)
    )
    return (before - usual) + (due - plain) + (after - usual)


def _times(call: Callable[[], object], count: int, device: str) -> list[float]:
    """Seconds of each, to the end of what it has the device do."""
    found = []
    for _ in range(count):
        _wait(device)
        begin = time.perf_counter()
        call()
        _wait(device)
        found.append(time.perf_counter() - begin)
    return found


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
