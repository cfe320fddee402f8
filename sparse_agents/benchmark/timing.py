"""Fair timing on a noisy machine: contenders take turns, and medians are reported."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Call = Callable[[], object]


@dataclass(frozen=True)
class Record:
    """One comparison, as ``--json`` writes it."""

    case: str
    sparsity: float
    batch: int
    threads: int
    contender: str
    baseline: str
    seconds: float
    baseline_seconds: float
    ratio: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def alternate(calls: Mapping[str, Call], turns: int = 5, seconds: float = 0.05) -> dict[str, float]:
    """Median seconds per call of each contender over ``turns`` turns of about ``seconds`` each.

    Within a turn the median of its calls counts, so that a preempted call does not.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        begin = time.perf_counter()
        call()
        repeats[name] = max(3, int(seconds / max(time.perf_counter() - begin, 1e-7)))
    turns_taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            times = []
            for _ in range(repeats[name]):
                begin = time.perf_counter()
                call()
                times.append(time.perf_counter() - begin)
            turns_taken[name].append(statistics.median(times))
    return {name: statistics.median(times) for name, times in turns_taken.items()}


def compare(
    case: str, sparsity: float, batch: int, threads: int, calls: Mapping[str, Call], baseline: str, turns: int = 5
) -> list[Record]:
    """Every contender against the baseline, which is one of ``calls``."""
    seconds = alternate(calls, turns)
    reference = seconds[baseline]
    return [
        Record(case, sparsity, batch, threads, name, baseline, value, reference, reference / value)
        for name, value in seconds.items()
        if name != baseline
    ]
