"""What training costs."""

from __future__ import annotations

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched

FLOPS_PER_CONNECTION = 6
"""Per sample and training step: 2 forward and 4 backward, as Evci et al. (2020, appendix H) count."""
JOULES_PER_FLOP = 2.3e-12
"""A multiplication and an addition in float32 take 3.7 and 0.9 pJ in 45 nm (Horowitz, ISSCC 2014, figure 1.1.9); moving
data is not counted."""


class Cost(Monitor):
    """``flops/training``, ``flops/relative_to_dense``: cumulative, 6 per connection and sample of every optimizer step
    (target networks and acting not counted; a convolution's once, not per pixel), and its ratio to the dense network's;
    ``flops/estimated_joules``: 2.3 pJ each. Nothing where the algorithm has no ``batch_size``.
    """

    def __init__(self) -> None:
        self.flops = 0.0
        self.dense_flops = 0.0
        self._counted: dict[str, int] = {}

    def begin(self, watched: Watched) -> None:
        for name, controller in watched.controllers.items():
            self._counted.setdefault(name, controller.steps)

    def record(self, watched: Watched, log: Log) -> None:
        parts, batch = watched.policy.parts(), int(vars(watched.model).get("batch_size", 0))
        for name, controller in watched.controllers.items():
            samples = (controller.steps - self._counted[name]) * batch
            self._counted[name] = controller.steps
            for part in (part for part in parts if part.optimizer == name):
                present, dense = part.weights()
                self.flops += FLOPS_PER_CONNECTION * present * samples
                self.dense_flops += FLOPS_PER_CONNECTION * dense * samples
        if self.dense_flops:
            log.total("flops/training", self.flops)
            log.total("flops/relative_to_dense", self.flops / self.dense_flops)
            log.total("flops/estimated_joules", self.flops * JOULES_PER_FLOP)
