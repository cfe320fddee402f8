"""SpaceNet against a dense simulation with masks, and by hand."""

from __future__ import annotations

import pytest
import torch
from sequence_helpers import SMALL, clusters, learner_and_method
from torch.nn import functional as F

from sparse_agents.continual.methods.spacenet import SpaceNet
from sparse_agents.continual.supervised.tasks import split
from sparse_agents.errors import ConfigurationError

STEPS, EVERY = 12, 4


class DenseSpaceNet:
    """The paper's algorithm on dense float64 matrices with 0/1 masks; what is drawn at random is taken over."""

    def __init__(self, method: SpaceNet, learning_rate: float) -> None:
        (network,) = method.learner.networks.values()
        self.names = list(network.layers)
        shapes = [layer.topology.shape for layer in network.layers.values()]
        self.weights = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
        self.biases = [torch.zeros(shape[0], dtype=torch.float64) for shape in shapes]
        self.masks = [torch.zeros(shape, dtype=torch.bool) for shape in shapes]
        self.earlier = [torch.zeros(shape, dtype=torch.bool) for shape in shapes]
        self.reserved = [torch.zeros(shape[0], dtype=torch.bool) for shape in shapes[:-1]]
        self.learning_rate = learning_rate
        self.method, self.network = method, network

    def take_over_what_was_drawn(self, classes: list[int]) -> None:
        self.classes = torch.tensor(classes)
        self.importance = [torch.zeros_like(weight) for weight in self.weights]
        self.drawn = []
        for index, (name, layer) in enumerate(self.network.layers.items()):
            edges = layer.topology.edges
            own = edges.dense(self.method.owners.of[self.network.key(name)] == self.method.task)
            self.masks[index] = own
            self.weights[index][own] = edges.dense(layer.weight.detach().double())[own]
            self.drawn.append(self.method.drawn[self.network.key(name)])

    def forward(self, x: torch.Tensor, weights: list[torch.Tensor], biases: list[torch.Tensor]) -> torch.Tensor:
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = torch.relu(x @ weight.T + bias)
        return x @ weights[-1].T + biases[-1]

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        seen = [weight.clone() for weight in self.weights]
        current = torch.zeros(len(seen[-1]), 1, dtype=torch.float64)
        current[self.classes] = 1
        seen[-1] *= current  # earlier output units rest
        leaves = [weight.requires_grad_() for weight in seen]
        biases = [bias.clone().requires_grad_() for bias in self.biases]
        F.cross_entropy(self.forward(x.double(), leaves, biases), y).backward()
        for index, (leaf, mask) in enumerate(zip(leaves, self.masks, strict=True)):
            gradient = leaf.grad * mask
            change = -self.learning_rate * gradient
            self.weights[index] = self.weights[index] + change
            self.importance[index] += (change * gradient).abs()
        for index, bias in enumerate(biases):
            open_ = torch.zeros_like(bias) if index == len(biases) - 1 else (~self.reserved[index]).double()
            if index == len(biases) - 1:
                open_[self.classes] = 1
            self.biases[index] = self.biases[index] - self.learning_rate * bias.grad * open_

    def neuron_importance(self) -> list[torch.Tensor]:
        inputs = self.importance[0].sum(dim=0)
        hidden = [
            importance.sum(dim=1) * ~reserved
            for importance, reserved in zip(self.importance[:-1], self.reserved, strict=True)
        ]
        return [inputs, *hidden]

    def drop_and_grow(self) -> None:
        neurons = self.neuron_importance()
        for index in range(len(self.weights) - 1):
            mask, shape = self.masks[index], self.masks[index].shape
            count = int(0.2 * int(mask.sum()))
            ranked = self.importance[index].masked_fill(~mask, torch.inf).flatten()
            dropped = ranked.argsort(stable=True)[:count]
            gain = torch.outer(neurons[index + 1], neurons[index])
            allowed = torch.zeros(shape, dtype=torch.bool)
            sources = self.drawn[index - 1] if index else torch.arange(shape[1])
            allowed[self.drawn[index][:, None], sources[None, :]] = True
            allowed &= ~mask & ~self.earlier[index]
            grown = gain.masked_fill(~allowed, -torch.inf).flatten().argsort(descending=True, stable=True)[:count]
            for flat, at, value in ((mask, dropped, False), (mask, grown, True)):
                flat.view(-1)[at] = value
            self.weights[index].view(-1)[dropped] = 0
            self.importance[index].view(-1)[dropped] = 0

    def end(self) -> None:
        neurons = self.neuron_importance()[1:]
        for index, reserved in enumerate(self.reserved):
            drawn = torch.zeros_like(reserved)
            drawn[self.drawn[index]] = True
            ranked = neurons[index].masked_fill(~drawn, -1).argsort(descending=True, stable=True)
            reserved[ranked[: round(0.1 * len(reserved))]] = True
        for earlier, mask in zip(self.earlier, self.masks, strict=True):
            earlier |= mask


def test_two_tasks_equal_a_dense_simulation() -> None:
    training = SMALL.__class__(hidden=(40, 30), batch_size=16, steps=STEPS, learning_rate=0.05)
    sequence = split("two", *clusters(classes=4), classes_per_task=2)
    learner, method = learner_and_method("spacenet", sequence, training, update_interval=EVERY, weight_init="scaled")
    assert isinstance(method, SpaceNet)
    learner.module.double()
    sequence = learner.sequence
    for index, task in enumerate(sequence.tasks):
        samples = task.train
        sequence.tasks[index].__dict__["train"] = samples._replace(inputs=samples.inputs.double())
    dense = DenseSpaceNet(method, learning_rate=0.05)
    (network,) = learner.networks.values()
    moved = 0

    def compare() -> None:
        for index, (name, layer) in enumerate(network.layers.items()):
            edges = layer.topology.edges
            owner = method.owners.of[network.key(name)]
            assert torch.equal(edges.dense(owner == method.task) & edges.mask(), dense.masks[index]), name
            assert torch.allclose(edges.dense(layer.weight.detach()), dense.weights[index], atol=1e-12), name
            assert torch.allclose(layer.bias, dense.biases[index], atol=1e-12), name

    for task in range(2):
        method.begin_task(task)
        dense.take_over_what_was_drawn(list(sequence.tasks[task].classes))
        compare()

        def between(step: int, task: int = task) -> None:
            nonlocal moved
            inputs, labels = learner._minibatch(sequence.tasks[task].train, task, step - 1)
            dense.step(inputs, labels)
            if step % EVERY == 0 and step < STEPS:
                before = [mask.clone() for mask in dense.masks]
                dense.drop_and_grow()
                moved += sum(int((one & ~other).sum()) for one, other in zip(before, dense.masks, strict=True))
            compare()

        learner.learn(method, between)
        method.end_task()
        dense.end()
        for name, reserved in zip(network.trunk, dense.reserved, strict=True):
            assert torch.equal(method.free[network.key(name)], ~reserved)
    assert moved >= 20
    with method.view(None):
        x = sequence.tasks[0].test.inputs.double()
        assert torch.allclose(learner.module(x), dense.forward(x, dense.weights, dense.biases), atol=1e-10)


def test_budgets_are_exact_per_task_and_layer() -> None:
    learner, method = learner_and_method("spacenet", training=SMALL.__class__(hidden=(50, 40), steps=8))
    (network,) = learner.networks.values()
    for task in range(3):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        method.end_task()
        owned = [int((method.owners.of[network.key(name)] == task).sum()) for name in network.layers]
        assert owned == [round(0.16 * 12 * 10), round(0.25625 * 10 * 8), round(0.5 * 8 * 2)]
        reserved = [int((~method.free[network.key(name)]).sum()) for name in network.trunk]
        assert reserved == [5 * (task + 1), 4 * (task + 1)]


def test_nobody_connects_to_reserved_neurons() -> None:
    learner, method = learner_and_method("spacenet", training=SMALL.__class__(hidden=(50, 40), steps=8))
    (network,) = learner.networks.values()
    first, second, output = network.layers
    for task in range(3):
        reserved = [~method.free[network.key(name)] for name in (first, second)]
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        ends = ((first, reserved[0], None), (second, reserved[1], reserved[0]), (output, None, reserved[1]))
        for name, rows, columns in ends:
            edges = network.layers[name].topology.edges
            own = method.owners.of[network.key(name)] == task
            assert rows is None or not rows[edges.row[own]].any()
            assert columns is None or not columns[edges.col[own].long()].any()
        method.end_task()


def test_a_step_by_hand() -> None:
    """Two inputs, one hidden unit, two classes: the importance of each connection, and of each neuron."""
    sequence = split("by hand", *clusters(classes=2, features=2), classes_per_task=2)
    training = SMALL.__class__(hidden=(1,), batch_size=1, steps=100, learning_rate=0.5)
    learner, method = learner_and_method(
        "spacenet", sequence, training, neurons=1.0, reserved=1.0, density=[1.0, 1.0], update_interval=1000
    )
    (network,) = learner.networks.values()
    hidden, output = network.layers.values()
    method.begin_task(0)
    hidden.weight.data = torch.tensor([1.0, 2.0])
    output.weight.data = torch.tensor([1.0, -1.0])
    learner.logits = None
    learner._update(method.loss(torch.tensor([[1.0, 0.5]]), torch.tensor([1])))
    # h = 1·1 + 2·0.5 = 2; logits 2, -2; softmax p = 1 / (1 + e⁻⁴); d logits = (p, -p); dh = 2p; d hidden = 2p (1, 0.5).
    p = 1 / (1 + torch.exp(torch.tensor(-4.0)))
    assert torch.allclose(method.importance["network/0"], 0.5 * torch.stack([2 * p, p]) ** 2)
    assert torch.allclose(method.importance["network/2"], 0.5 * torch.stack([2 * p, -2 * p]) ** 2)
    neurons = method._neurons(network)
    assert torch.allclose(neurons["network/"], 0.5 * torch.stack([2 * p, p]) ** 2)
    assert torch.allclose(neurons["network/0"], 0.5 * (4 * p**2 + p**2))
    method.end_task()
    assert method.free["network/0"].tolist() == [False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": 0.9, "reserved": 0.5}, "do not fit into the network"),
        ({"neurons": 1.5}, r"neurons=1\.5"),
        ({"weight_init": "scale"}, "Did you mean 'scaled'"),
        ({"density": [0.5, 0.5]}, "has 3 layers, and there is one density for each"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        learner_and_method("spacenet", **options)
