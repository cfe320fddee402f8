"""A classifier that learns one task after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_agents.continual.activity import Activity, activity
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.network import Network
from sparse_agents.continual.supervised.tasks import ClassificationSequence, Samples
from sparse_agents.control import sparsify
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLayer


@dataclass(frozen=True)
class Training:
    """How a classifier is trained; Sokar et al. (2021) for split MNIST.

    Attributes:
        hidden: units of the hidden layers.
        sparsity: of the weights, spread by Erdős–Rényi-Kernel; 0 stores every connection.
        learning_rate: of plain stochastic gradient descent.
        momentum: of it.
        batch_size: samples of a step.
        steps: of each task.
        device: that the network is on.
    """

    hidden: Sequence[int] = (400, 400)
    sparsity: float = 0.0
    learning_rate: float = 0.01
    momentum: float = 0.0
    batch_size: int = 128
    steps: int = 376
    device: str = "cpu"


class Classifier(Learner):
    """A perceptron with ReLU, its optimizer, and the tasks.

    Args:
        sequence: of tasks.
        training: settings.
        seed: of initial weights and minibatches.
        saved: by a run to go on with.

    Attributes:
        module: the network, one output unit for each class of the sequence.
        step: steps taken on the task in training.
    """

    labelled = True

    def __init__(
        self, sequence: ClassificationSequence, training: Training, seed: int, saved: Mapping[str, Any] | None = None
    ) -> None:
        self.sequence, self.training, self.seed = sequence.to(training.device), training, seed
        self.tasks = [task.name for task in sequence.tasks]
        between = [module for layer in self._dense_layers(seed) for module in (layer, nn.ReLU())]
        self.module = nn.Sequential(*between[:-1])
        sparsify(self.module, sparsity=training.sparsity, topology="static", seed=seed)
        self.module.to(training.device)
        self.optimizer = torch.optim.SGD(
            self.module.parameters(), lr=training.learning_rate, momentum=training.momentum
        )
        found = {name: layer for name, layer in self.module.named_children() if isinstance(layer, SparseLayer)}
        output = list(found)[-1]
        trunk = {name: layer for name, layer in found.items() if name != output}
        relus = [module for module in self.module if isinstance(module, nn.ReLU)]
        activations = dict(zip(trunk, relus, strict=True))
        self.networks: Mapping[str, Network] = {
            "network": Network(
                "network",
                trunk,
                {output: found[output]},
                self.optimizer,
                activations=activations,
                outlets=[found[output]],
            )
        }
        self.step, self.length = 0, training.steps
        self.logits: Tensor | None = None
        if saved is not None:
            self.module.load_state_dict(saved["module"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = int(saved["step"])

    def outputs(self, task: int) -> Tensor | None:
        return self._classes(self.sequence.tasks[task].classes) if self.sequence.disjoint else None

    def updates(self, network: Network) -> int:
        return self.length

    def start_afresh(self, task: int) -> None:
        fresh = self._dense_layers(self.seed + 1000 * task)
        for layer, dense in zip(self.networks["network"].layers.values(), fresh, strict=True):
            layer.take(dense.to(self.training.device), scale=(1 - layer.sparsity) ** -0.5)
        self.reset_optimizers()

    def answer(self, inputs: Tensor) -> Tensor:
        """Logits of all classes."""
        logits: Tensor = self.module(inputs)
        return logits

    def loss(self, answers: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over the logits in use."""
        return F.cross_entropy(_among(answers, self.logits), labels)

    def learn(self, method: ContinualMethod, between: Callable[[int], None]) -> None:
        samples = self.samples(method)
        self.logits = self.outputs(method.task) if method.needs_identity else None
        while self.step < self.length:
            inputs, labels = self._minibatch(samples, method.task, self.step)
            self._update(method.loss(inputs, labels))
            self.step += 1
            between(self.step)
        self.step = 0

    def scores(self, method: ContinualMethod) -> Mapping[str, Sequence[float]]:
        """Accuracies. With known identity the answer is one of the task's classes; without, one of all classes seen so
        far, or of the task's where that is yet to come.
        """
        tasks = self.sequence.tasks
        known = []
        for task in range(len(tasks)):
            with method.view(task):
                known.append(self.accuracy(task, tasks[task].classes))
        seen = {label for task in tasks[: method.task + 1] for label in task.classes}
        with method.view(None):
            unknown = [self.accuracy(index, sorted(seen.union(task.classes))) for index, task in enumerate(tasks)]
        return {"known": known, "unknown": unknown}

    def save(self, folder: Path) -> dict[str, Any]:
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}

    def samples(self, method: ContinualMethod) -> Samples:
        """What the method trains its task on."""
        tasks = self.sequence.tasks
        chosen = tasks[: method.task + 1] if method.data == "all" else [tasks[method.task]]
        return Samples(*(torch.cat(parts) for parts in zip(*(task.train for task in chosen), strict=True)))

    def train_on(self, task: int, steps: int) -> None:
        samples = self.sequence.tasks[task].train
        for step in range(steps):
            inputs, labels = self._minibatch(samples, task, self.length + step)
            self._update(self.loss(self.answer(inputs), labels))

    def fisher(self, task: int) -> Mapping[nn.Parameter, Tensor]:
        """Of the softmax over the logits in use: the mean over samples of squared gradients of the log-likelihood, over
        labels as likely as the network finds them.
        """
        parameters = [parameter for network in self.networks.values() for _, parameter in network.parameters()]
        found = {parameter: torch.zeros_like(parameter) for parameter in parameters}
        inputs, _ = self.sequence.tasks[task].train
        for one in inputs:
            log_likelihoods = F.log_softmax(_among(self.module(one[None]), self.logits), dim=1)[0]
            for log_likelihood in log_likelihoods[torch.isfinite(log_likelihoods)]:
                gradients = torch.autograd.grad(log_likelihood, parameters, retain_graph=True)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    found[parameter].addcmul_(gradient, gradient, value=float(log_likelihood.detach().exp()))
        return {parameter: total / len(inputs) for parameter, total in found.items()}

    def activity(self, task: int) -> list[Activity]:
        """Of each class."""
        found = []
        for label in self.sequence.tasks[task].classes:
            inputs, _ = self.sequence.tasks[task].train.of_classes([label])
            with torch.no_grad():
                found.append(activity(self.networks, partial(self.module, inputs), self._classes([label])))
        return found

    def accuracy(self, task: int, among: Sequence[int]) -> float:
        """On a task's test samples, the answer being one of these classes."""
        inputs, labels = self.sequence.tasks[task].test
        with torch.no_grad():
            answers = _among(self.module(inputs), self._classes(among)).argmax(dim=1)
        return float((answers == labels).float().mean())

    def _classes(self, labels: Sequence[int]) -> Tensor:
        return torch.tensor(labels).to(self.training.device)

    def _dense_layers(self, seed: int) -> list[nn.Linear]:
        sizes = [self.sequence.inputs, *self.training.hidden, self.sequence.classes]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)]
            for layer in layers:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        return layers

    def _minibatch(self, samples: Samples, task: int, step: int) -> Samples:
        """Depends on nothing but the seed and these: training can go on anywhere."""
        size = self.training.batch_size
        per_epoch = -(-len(samples.labels) // size)
        epoch, place = divmod(step, per_epoch)
        entropy = np.random.SeedSequence((self.seed, task, epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(entropy[0]))
        chosen = torch.randperm(len(samples.labels), generator=generator)[place * size : (place + 1) * size]
        return Samples(samples.inputs[chosen], samples.labels[chosen])

    def _update(self, loss: Tensor) -> None:
        if not bool(torch.isfinite(loss)):
            raise ConfigurationError("The loss is not finite: training has diverged. Lower the learning rate.")
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def _among(logits: Tensor, classes: Tensor | None) -> Tensor:
    """Logits of other classes at minus infinity."""
    if classes is None:
        return logits
    others = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    others[classes] = False
    return logits.masked_fill(others, -torch.inf)
