"""Winning subnetworks against full matrices with masks that autograd goes straight through."""

from __future__ import annotations

import torch
from sequence_helpers import SMALL, clusters, learner_and_method
from torch import Tensor
from torch.nn import functional as F

from sparse_agents.continual.methods.wsn import WSN
from sparse_agents.continual.supervised.tasks import split

STEPS, RATE = 10, 0.1


class Largest(torch.autograd.Function):
    """1 where |score| is among the largest, with the gradient of the identity of |score|."""

    @staticmethod
    def forward(ctx, scores: Tensor, count: int) -> Tensor:
        mask = torch.zeros_like(scores)
        mask[scores.abs().argsort(descending=True)[:count]] = 1
        ctx.save_for_backward(scores)
        return mask

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (scores,) = ctx.saved_tensors
        return gradient * scores.sign(), None


class DenseWSN:
    """The paper's equations; first values are taken over."""

    def __init__(self, method: WSN) -> None:
        (self.network,) = method.learner.networks.values()
        self.layers = list(self.network.layers.values())
        self.places = [layer.topology.edges.ids for layer in self.layers]
        self.weights = [layer.weight.detach().clone() for layer in self.layers]
        self.biases = [layer.bias.detach().clone() for layer in self.layers]
        self.scores = [scores.detach().clone() for scores in method.scores.values()]
        self.used = [torch.zeros_like(scores, dtype=torch.bool) for scores in self.scores]

    def masks(self, scores: list[Tensor]) -> list[Tensor]:
        return [Largest.apply(one, round(0.5 * len(one))) for one in scores]

    def step(self, inputs: Tensor, labels: Tensor, classes: list[int], first: bool) -> None:
        leaves = [[one.clone().requires_grad_() for one in kind] for kind in (self.weights, self.biases, self.scores)]
        weights, biases, scores = leaves
        masks = self.masks(scores)
        present = [w * m for w, m in zip(weights[:-1], masks, strict=True)] + [weights[-1]]
        x = inputs
        for layer, place, weight, bias in zip(self.layers, self.places, present, biases, strict=True):
            matrix = torch.zeros(layer.topology.edges.size, dtype=torch.float64).index_put((place,), weight)
            x = x @ matrix.view(layer.topology.shape).T + bias
            if layer is not self.layers[-1]:
                x = torch.relu(x)
        F.cross_entropy(x[:, classes], labels - min(classes)).backward()
        for index in range(len(self.scores)):
            free = ~self.used[index]
            self.weights[index] -= RATE * weights[index].grad * free
            self.scores[index] -= RATE * scores[index].grad
        rows = self.layers[-1].topology.edges.row
        self.weights[-1] -= RATE * weights[-1].grad * torch.isin(rows, torch.tensor(classes))
        for index, bias in enumerate(biases):
            own = torch.isin(torch.arange(len(bias)), torch.tensor(classes))
            self.biases[index] -= RATE * bias.grad * (own if index == len(biases) - 1 else first)

    def end(self) -> None:
        for index, mask in enumerate(self.masks(self.scores)):
            self.used[index] |= mask.bool()


def test_two_tasks_equal_full_matrices() -> None:
    training = SMALL.__class__(hidden=(24, 20), batch_size=16, steps=STEPS, learning_rate=RATE, sparsity=0.3)
    sequence = split("two", *clusters(classes=4), classes_per_task=2)
    for task in sequence.tasks:
        task.__dict__["train"] = task.train._replace(inputs=task.train.inputs.double())
    learner, _ = learner_and_method("finetune", sequence, training)
    learner.module.double()
    method = WSN(learner, 2, seed=0)
    dense = DenseWSN(method)
    for task in range(2):
        method.begin_task(task)
        for step in range(STEPS):
            inputs, labels = learner._minibatch(sequence.tasks[task].train, task, step)
            dense.step(inputs, labels, list(sequence.tasks[task].classes), first=task == 0)

        learner.learn(method, lambda step: None)
        method.end_task()
        dense.end()
        for layer, weight, bias in zip(dense.layers, dense.weights, dense.biases, strict=True):
            assert torch.allclose(layer.weight, weight, atol=1e-12)
            assert torch.allclose(layer.bias, bias, atol=1e-12)
        for found, expected in zip(method.scores.values(), dense.scores, strict=True):
            assert torch.allclose(found, expected, atol=1e-12)
        for mask, used in zip(method.masks[task].values(), dense.used, strict=True):
            assert used[mask].all()
    shared = sum(one.shared for one in method.capacity().values())
    assert shared > 0  # tasks overlap


def test_a_task_uses_its_share() -> None:
    learner, method = learner_and_method("wsn", share=0.3)
    method.begin_task(0)
    learner.learn(method, lambda step: None)
    method.end_task()
    layers = learner.networks["network"]
    with method.view(0):
        assert [layer.topology.nnz for layer in layers.trunk.values()] == [round(0.3 * 12 * 20), round(0.3 * 20 * 20)]
    assert [layer.topology.nnz for layer in layers.trunk.values()] == [12 * 20, 20 * 20]
