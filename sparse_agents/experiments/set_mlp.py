"""Classifiers of any width, trained sparse by SET."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparse_agents.control import TopologyController, sparsify
from sparse_agents.experiments.gene_expression import GeneExpression
from sparse_agents.nn import deferred_matrices

MOMENTUM, WEIGHT_DECAY, DROP_FRACTION = 0.9, 2e-4, 0.3


@dataclass(frozen=True)
class Size:
    """A network and how long it is trained.

    Attributes:
        hidden: units of the hidden layers.
        epsilon: each layer has ``epsilon * (inputs + outputs)`` connections, or all (Mocanu et al. 2018, eq. 1).
        epochs: passes over the data; the topology is updated after each but the last.
        batch: samples in a minibatch.
        learning_rate: of SGD with momentum 0.9 and weight decay 2e-4.
    """

    hidden: tuple[int, ...]
    epsilon: int
    epochs: int
    batch: int
    learning_rate: float

    def shapes(self, inputs: int, classes: int) -> list[tuple[int, int]]:
        """``(outputs, inputs)`` of each layer."""
        return [(after, before) for before, after in pairwise((inputs, *self.hidden, classes))]

    def sparsity(self, inputs: int, classes: int) -> float:
        """Of the whole network."""
        shapes = self.shapes(inputs, classes)
        connections = sum(min(self.epsilon * (rows + cols), rows * cols) for rows, cols in shapes)
        return 1 - connections / sum(rows * cols for rows, cols in shapes)


SIZES = {
    "small": Size(hidden=(1000, 1000), epsilon=10, epochs=100, batch=32, learning_rate=0.05),
    "million": Size(hidden=(500_000, 500_000), epsilon=10, epochs=10, batch=32, learning_rate=0.05),
}


@dataclass(frozen=True)
class Epoch:
    """What was reached after a pass over the data.

    Attributes:
        epoch: counted from one.
        seconds: since the beginning of training, topology updates included, tests not.
        loss: mean cross entropy over the epoch.
        accuracy: on the test samples, in percent.
    """

    epoch: int
    seconds: float
    loss: float
    accuracy: float


class SetMLP:
    """A network with its optimizer and controller, which never were dense.

    Args:
        size: of the network.
        data: what it is to learn.
        seed: of weights, topology and minibatches.
        device: that the network is on; the data stays where it is.
    """

    def __init__(self, size: Size, data: GeneExpression, seed: int = 0, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        self.size, self.data, self.device = size, data, device
        inputs = data.x.shape[1]
        self.batches = max(1, len(data.x) // size.batch)
        with deferred_matrices():
            self.network = _mlp((inputs, *size.hidden, data.classes))
        self.controller: TopologyController = sparsify(
            self.network,
            sparsity=size.sparsity(inputs, data.classes),
            topology="set",
            topology_kwargs={
                "update_interval": self.batches,
                "drop_fraction": DROP_FRACTION,
                "end": self.batches * (size.epochs - 1),
            },
            distribution="er",
            seed=seed,
        )
        self.network.to(device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=size.learning_rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
        )
        self.controller.attach(self.optimizer)

    @property
    def units(self) -> int:
        """Neurons, inputs and outputs included."""
        return self.data.x.shape[1] + sum(self.size.hidden) + self.data.classes

    def train(self, after_batch: Callable[[], object]) -> Iterator[Epoch]:
        """All epochs; ``after_batch`` is called after each minibatch."""
        spent = 0.0
        for epoch in range(1, self.size.epochs + 1):
            losses = []
            for chosen in self._minibatches():
                begin = time.perf_counter()
                losses.append(self.step(self.data.x[chosen], self.data.y[chosen]))
                spent += time.perf_counter() - begin
                after_batch()
            yield Epoch(epoch, spent, sum(losses) / len(losses), self.accuracy())

    def _minibatches(self) -> Sequence[Tensor]:
        order = torch.randperm(len(self.data.x))
        return list(order[: self.batches * self.size.batch].split(self.size.batch))

    def step(self, x: Tensor, y: Tensor) -> float:
        """One minibatch; its loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.network(x.to(self.device)), y.to(self.device))
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def accuracy(self) -> float:
        """On the test samples, in percent."""
        x, y = self.data.x_test, self.data.y_test
        right = sum(
            int((self.network(part.to(self.device)).argmax(1).cpu() == labels).sum())
            for part, labels in zip(x.split(self.size.batch), y.split(self.size.batch), strict=True)
        )
        return 100 * right / len(y)


def _mlp(units: Sequence[int]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(units):
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*modules[:-1])
