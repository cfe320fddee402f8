"""When a topology is updated, and how much of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparse_agents.errors import ConfigurationError, unknown


def _constant(progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _linear(progress: float) -> float:
    return 1 - progress


def cubic(start: float, final: float, progress: float) -> float:
    """``final + (start − final)(1 − progress)³``: fast first, while much is redundant (Zhu & Gupta 2017, eq. 1)."""
    return final + (start - final) * (1 - progress) ** 3


NOT_YET = 0
"""An ``end`` to start with, at which nothing is due, where the length of the run will be known."""
ANNEALING = {"constant": _constant, "cosine": _cosine, "linear": _linear}


@dataclass(frozen=True)
class Moment:
    """Where in the run an update happens.

    Attributes:
        step: optimizer steps taken, this one included.
        number: of the update, 0 for the first.
        fraction: ζ, the fraction of connections to replace.
        progress: 0 at the first update, 1 at the last; 0 throughout where no end is set.
    """

    step: int
    number: int
    fraction: float
    progress: float


@dataclass
class Schedule:
    """Updates at steps ``begin, begin + update_interval, ...`` up to and including ``end``.

    Attributes:
        update_interval: optimizer steps between updates.
        drop_fraction: ζ, the fraction of a layer's connections replaced at an update.
        schedule: how ζ falls from ``begin`` to ``end``: ``constant``, ``cosine`` (Evci et al. 2020,
            section 3) or ``linear``.
        begin: the first update's step; None means ``update_interval``. Steps count from 1.
        end: the last step at which an update may happen; None means never ending, ``NOT_YET`` that it will be said.
    """

    update_interval: int
    drop_fraction: float
    schedule: str = "constant"
    begin: int | None = None
    end: int | None = None

    def __post_init__(self) -> None:
        for name in ("update_interval", "begin", "end"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole and (value is not None or name == "update_interval"):
                raise ConfigurationError(f"{name}={value!r} is not a whole number of steps.")
        if not isinstance(self.drop_fraction, int | float):
            raise ConfigurationError(f"drop_fraction={self.drop_fraction!r} is not a number.")
        if self.update_interval < 1:
            raise ConfigurationError(f"update_interval={self.update_interval}: updates need at least 1 step between.")
        if not 0 < self.drop_fraction <= 1:
            raise ConfigurationError(f"drop_fraction={self.drop_fraction} is not in (0, 1].")
        if self.schedule not in ANNEALING:
            raise unknown("schedule", self.schedule, [*ANNEALING, "itop"])
        if self.schedule != "constant" and self.end is None:
            raise ConfigurationError(
                f"schedule={self.schedule!r} anneals towards `end`, the last update's step, which is not set. Give "
                "topology_kwargs={'end': ...}, about as many optimizer steps as the run will have, or "
                "schedule='constant'."
            )
        if self.begin is not None and self.begin < 1:
            raise ConfigurationError(f"begin={self.begin}: steps count from 1.")
        if self.end is not None and self.end != NOT_YET and self.end < self.first:
            raise ConfigurationError(
                f"end={self.end} is before the first update, at step {self.first}: there would be none. Update more "
                "often (update_interval, begin), or end later."
            )

    @property
    def first(self) -> int:
        return self.update_interval if self.begin is None else self.begin

    def due(self, step: int) -> bool:
        """Whether the step just taken (1 for the first) is an update step."""
        if step < self.first or (self.end is not None and step > self.end):
            return False
        return (step - self.first) % self.update_interval == 0

    def fraction(self, step: int) -> float:
        """ζ at a step. Annealed over ``begin..end``, not over the raw step."""
        if self.end is None:
            return self.drop_fraction
        span = max(self.end - self.first, 1)
        return self.drop_fraction * ANNEALING[self.schedule](min(max((step - self.first) / span, 0.0), 1.0))

    def progress(self, step: int) -> float:
        """0 at the first update, 1 at the last, so that what is to be reached is reached exactly."""
        if self.end is None:
            return 0.0
        last = self.end - (self.end - self.first) % self.update_interval
        return 1.0 if step >= last else max((step - self.first) / (last - self.first), 0.0)

    def at(self, step: int) -> Moment:
        return Moment(step, (step - self.first) // self.update_interval, self.fraction(step), self.progress(step))
