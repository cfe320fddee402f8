"""Experience replay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods.reservoir import Reservoir
from sparse_agents.errors import ConfigurationError


class ER(ContinualMethod):
    """Each minibatch comes with another one, of samples kept from all that was ever seen.

    Chaudhry et al., "On Tiny Episodic Memories in Continual Learning", 2019, with reservoir sampling: at any time the
    memory is a uniform sample of what has gone by.

    An agent's replay buffer goes on from task to task instead (perfect memory, where it is large enough).

    Args:
        memory: samples that are kept.
        replayed: of them with each minibatch; by default as many as that has.
    """

    keeps_experience = True

    def __init__(self, *args: Any, memory: int = 200, replayed: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if replayed is not None and replayed < 1:
            raise ConfigurationError(f"replayed={replayed}: at least 1 sample.")
        self.learner.check_experience("nothing of earlier tasks can be replayed")
        self.memory = Reservoir(memory, self.generator)
        self.replayed = replayed

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        together = [inputs, labels]
        if self.task > 0:
            kept = self.memory.draw(self.replayed or len(labels))
            together = [torch.cat(parts) for parts in zip(together, kept, strict=True)]
        self.memory.add(inputs, labels)
        return self.learner.loss(self.learner.answer(together[0]), together[1])

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "memory": self.memory.state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.memory.restore(state["memory"])
