"""What figures on a CUDA device have to be: bars that the project sets itself for an H200."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparse_agents.benchmark.cuda import CSR
from sparse_agents.benchmark.cuda_agents import GRAPH
from sparse_agents.benchmark.timing import Record

OURS = "sparse_agents"


@dataclass(frozen=True)
class Verdict:
    """A bar, and what was measured.

    Attributes:
        bar: in words.
        measured: in words; what is missing, where it is.
        met: None where it was not measured.
    """

    bar: str
    measured: str
    met: bool | None


class Figures:
    """Records to ask for figures by the begin of their case."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def of(self, case: str, sparsity: float | None, contender: str = OURS) -> Record:
        """The only one.

        Raises:
            LookupError: where there is none.
        """
        for record in self._records:
            if record.case.startswith(case) and record.contender == contender and sparsity in (None, record.sparsity):
                return record
        raise LookupError(f"no figure of {contender}, {case}")


Measure = Callable[[Figures], tuple[bool, str]]


def _at_most(milliseconds: float, case: str, sparsity: float) -> Measure:
    def measure(figures: Figures) -> tuple[bool, str]:
        found = 1e3 * figures.of(case, sparsity).seconds
        return found <= milliseconds, f"{found:.3f} ms"

    return measure


def _ratio(least: float, case: str, sparsity: float, than: str | None = None) -> Measure:
    """``than``: another contender, for the baseline."""

    def measure(figures: Figures) -> tuple[bool, str]:
        own = figures.of(case, sparsity)
        found = own.ratio if than is None else figures.of(case, sparsity, than).seconds / own.seconds
        return found >= least, f"{found:.2f}×"

    return measure


def _learned(case: str) -> Measure:
    """There are no figures of what does not learn."""

    def measure(figures: Figures) -> tuple[bool, str]:
        return True, f"{1e3 * figures.of(case, None).seconds:.1f} ms a minibatch"

    return measure


TD3, LAYER, REWIRING, WIDE = "TD3 gradient step", "layer 4096x4096", "topology update by set", "minibatch of "
BARS: dict[str, Measure] = {
    "TD3 gradient step, 256x256, 90%: at most 0.120 ms": _at_most(0.12, TD3, 0.9),
    "TD3 gradient step, 90%: 25× Stable-Baselines3's": _ratio(25, TD3, 0.9),
    "TD3 gradient step, 90%: no slower than dense in a graph": _ratio(1, TD3, 0.9, GRAPH),
    **{
        f"{LAYER}, {100 * sparsity:.0f}%: {least}× dense": _ratio(least, LAYER, sparsity)
        for sparsity, least in ((0.9, 2), (0.95, 4), (0.98, 8))
    },
    **{
        f"{LAYER}, {100 * sparsity:.0f}%: 2× cuSPARSE": _ratio(2, LAYER, sparsity, CSR)
        for sparsity in (0.8, 0.9, 0.95, 0.98)
    },
    "topology update, 4096x4096, 95%: at most 1 ms": _at_most(1, REWIRING, 0.95),
    "a million neurons learn": _learned(WIDE),
}


def verdicts(records: Sequence[Record]) -> Iterator[Verdict]:
    """For every bar."""
    figures = Figures(records)
    for bar, measure in BARS.items():
        try:
            met, measured = measure(figures)
        except LookupError as missing:
            yield Verdict(bar, str(missing), None)
        else:
            yield Verdict(bar, measured, met)


def as_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """For a file."""
    return [vars(verdict) for verdict in verdicts(records)]
