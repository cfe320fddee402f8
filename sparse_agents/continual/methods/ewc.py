"""Elastic weight consolidation."""

from __future__ import annotations

from typing import Any

from sparse_agents.continual.methods.penalty import QuadraticPenalty


class EWC(QuadraticPenalty):
    """A weight is held the more, the more the Fisher information says that the answers depend on it.

    Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017, equation 3, whose λ is twice
    our strength; one anchor, importances summed, and no Fisher information below 1e-5, as in
    github.com/awarelab/continual_world.

    Args:
        strength: of the penalty; 1e4 in Continual World.
        floor: of the Fisher information.
    """

    def __init__(self, *args: Any, strength: float = 1e4, floor: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(*args, strength=strength, **kwargs)
        self.floor = floor
        self.learner.check_fisher()

    def consolidate(self, task: int) -> None:
        fisher = self.learner.fisher(task)
        parameters = self.learner.parameters().items()
        self.add({key: fisher[parameter].clamp(min=self.floor) for key, parameter in parameters})
