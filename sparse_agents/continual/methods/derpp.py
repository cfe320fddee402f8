"""Dark experience replay."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods.reservoir import Reservoir


class DERpp(ContinualMethod):
    """Kept samples are to be answered as they were answered when they were seen, and rightly.

    DER++: Buzzega, Boschini, Porrello, Abati, Calderara, "Dark Experience for General Continual Learning: a Strong,
    Simple Baseline", NeurIPS 2020, equation 6; official code github.com/aimagelab/mammoth. Samples are kept by
    reservoir sampling together with the answers given to them then; the two parts of the loss draw theirs apart, from
    the first task on.

    Args:
        alpha: weight of the mean squared difference between answers now and then.
        beta: weight of the loss of kept samples with their labels.
        memory: samples that are kept.
        replayed: of them in each part of the loss; by default as many as the minibatch has.
    """

    no_agents = "it keeps the answers of a classifier, and a replay buffer holds none"

    def __init__(
        self,
        *args: Any,
        alpha: float = 0.3,
        beta: float = 0.5,
        memory: int = 200,
        replayed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.alpha, self.beta = alpha, beta
        self.memory = Reservoir(memory, self.generator)
        self.replayed = replayed

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        answers = self.learner.answer(inputs)
        total = self.learner.loss(answers, labels)
        if len(self.memory):
            count = self.replayed or len(labels)
            earlier, _, then = self.memory.draw(count)
            total = total + self.alpha * F.mse_loss(self.learner.answer(earlier), then)
            earlier, right, _ = self.memory.draw(count)
            total = total + self.beta * self.learner.loss(self.learner.answer(earlier), right)
        self.memory.add(inputs, labels, answers.detach())
        return total

    def get_extra_state(self) -> dict[str, Any]:
        return {**super().get_extra_state(), "memory": self.memory.state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.memory.restore(state["memory"])
