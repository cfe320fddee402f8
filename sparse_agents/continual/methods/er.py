"""Experience replay."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparse_agents.continual.method import ContinualMethod


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
        self.memory = memory
        self.replayed = replayed
        self.inputs = torch.empty(0)
        self.labels = torch.empty(0, dtype=torch.int64)
        self.seen = 0

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        together = inputs, labels
        if self.task > 0:
            size = min(self.replayed or len(labels), len(self.labels))
            chosen = torch.randperm(len(self.labels), generator=self.generator)[:size]
            together = torch.cat([inputs, self.inputs[chosen]]), torch.cat([labels, self.labels[chosen]])
        self._keep(inputs, labels)
        return self.learner.loss(*together)

    def _keep(self, inputs: Tensor, labels: Tensor) -> None:
        """Vitter's algorithm R, a minibatch at a time."""
        for one, label in zip(inputs, labels, strict=True):
            if len(self.labels) < self.memory:
                self.inputs = torch.cat([self.inputs.reshape(-1, len(one)), one[None]])
                self.labels = torch.cat([self.labels, label[None]])
            else:
                place = int(torch.randint(self.seen + 1, (), generator=self.generator))
                if place < self.memory:
                    self.inputs[place], self.labels[place] = one, label
            self.seen += 1

    def get_extra_state(self) -> dict[str, Any]:
        kept = {"inputs": self.inputs.clone(), "labels": self.labels.clone(), "seen": torch.tensor(self.seen)}
        return {**super().get_extra_state(), **kept}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.inputs, self.labels = state["inputs"].clone(), state["labels"].clone()
        self.seen = int(state["seen"])
