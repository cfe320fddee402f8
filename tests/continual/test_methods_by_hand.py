"""PackNet, EWC and SI on numbers that can be followed."""

from __future__ import annotations

import pytest
import torch
from sequence_helpers import SMALL, learner_and_method, permuted_clusters
from torch.nn import functional as F

from sparse_agents.continual.methods.ewc import EWC
from sparse_agents.continual.methods.packnet import PackNet
from sparse_agents.continual.methods.si import SI
from sparse_agents.errors import ConfigurationError

# -- PackNet


def test_packnet_keeps_the_largest_of_what_it_trained() -> None:
    learner, method = learner_and_method("packnet", permuted_clusters(), prune=0.25, retrain_steps=0)
    assert isinstance(method, PackNet)
    (network,) = learner.networks.values()
    method.begin_task(0)
    learner.learn(method, lambda step: None)
    before = {name: layer.weight.detach().clone() for name, layer in network.layers.items()}
    method.end_task()
    for name, layer in network.layers.items():
        count = int(0.25 * len(before[name]))
        smallest = before[name].abs().argsort(stable=True)[:count]
        assert (layer.weight[smallest] == 0).all()
        kept = torch.ones(len(before[name]), dtype=torch.bool)
        kept[smallest] = False
        assert torch.equal(layer.weight[kept], before[name][kept])
        assert torch.equal(method.owners.of[network.key(name)], torch.where(kept, 0, 1))


def test_packnet_gives_every_task_an_equal_share() -> None:
    """Of three tasks the first keeps a third, the second half of what is left, the third the rest."""
    learner, method = learner_and_method("packnet", permuted_clusters(), retrain_steps=0)
    assert isinstance(method, PackNet)
    (network,) = learner.networks.values()
    for task in range(3):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        method.end_task()
    for name, layer in network.layers.items():
        nnz = layer.topology.nnz
        given = int(2 / 3 * nnz)
        expected = [nnz - given, given - int(given / 2), int(given / 2)]
        assert torch.bincount(method.owners.of[network.key(name)]).tolist() == expected


def test_packnet_trains_what_is_kept_and_nothing_else_afterwards() -> None:
    learner, method = learner_and_method("packnet", permuted_clusters(), retrain_steps=5)
    (network,) = learner.networks.values()
    method.begin_task(0)
    learner.learn(method, lambda step: None)
    before = {
        name: (layer.weight.detach().clone(), layer.bias.detach().clone()) for name, layer in network.layers.items()
    }
    method.end_task()
    for name, layer in network.layers.items():
        own = method.owners.of[network.key(name)] == 0
        assert not torch.equal(layer.weight[own], before[name][0][own])
        assert (layer.weight[~own] == 0).all()
        assert torch.equal(layer.bias, before[name][1])


@pytest.mark.parametrize("prune", [0.0, 1.0, -1.0])
def test_packnet_prunes_some_and_not_all(prune: float) -> None:
    with pytest.raises(ConfigurationError, match=r"prune=.* is not between 0 and 1"):
        learner_and_method("packnet", prune=prune)


# -- EWC


def test_fisher_information_is_what_gradients_of_log_likelihoods_say() -> None:
    """E over inputs and over the network's own answers of squared gradients, by autograd on each."""
    learner, _ = learner_and_method("ewc")
    found = learner.fisher(0)
    inputs, _ = learner.sequence.tasks[0].train
    expected = {parameter: torch.zeros_like(parameter) for parameter in found}
    for one in inputs:
        probabilities = learner.module(one[None]).softmax(dim=1)[0].detach()
        for label, probability in enumerate(probabilities):
            learner.module.zero_grad()
            F.cross_entropy(learner.module(one[None]), torch.tensor([label])).backward()
            for parameter, total in expected.items():
                total += probability * parameter.grad**2
    for parameter, total in expected.items():
        assert torch.allclose(found[parameter], total / len(inputs), rtol=1e-4, atol=1e-8)


def test_ewc_pulls_to_the_anchor_by_importance() -> None:
    learner, method = learner_and_method("ewc", strength=3.0, floor=0.0)
    assert isinstance(method, EWC)
    method.begin_task(0)
    learner.learn(method, lambda step: None)
    method.end_task()
    method.begin_task(1)
    anchor = {key: value.clone() for key, value in method.anchor.items()}
    inputs, labels = learner.sequence.tasks[1].train
    learner.optimizer.zero_grad()
    with torch.no_grad():
        for parameter in learner.module.parameters():
            parameter.add_(0.1)
    learner.loss(learner.answer(inputs), labels).backward()
    plain = {key: parameter.grad.clone() for key, parameter in learner.parameters().items()}
    method.before_step(learner.networks["network"])
    for key, parameter in learner.parameters().items():
        assert torch.equal(anchor[key] + 0.1, parameter)
        expected = plain[key] + 2 * 3.0 * method.importance[key] * 0.1
        assert torch.allclose(parameter.grad, expected, rtol=1e-3, atol=1e-6)


def test_importances_of_tasks_add_up() -> None:
    learner, method = learner_and_method("ewc", strength=0.0, floor=0.5)
    assert isinstance(method, EWC)
    for task in range(2):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        method.end_task()
        for value in method.importance.values():
            assert (value >= 0.5 * (task + 1) - 1e-6).all()  # what is less counts as the floor


# -- SI


def test_the_path_counts_what_each_step_brought() -> None:
    """Plain gradient descent: the decrease of a step is the learning rate times the squared gradient."""
    training = SMALL.__class__(hidden=(20, 20), batch_size=16, steps=7, learning_rate=0.1)
    learner, method = learner_and_method("si", training=training, strength=0.5, damping=0.1)
    assert isinstance(method, SI)
    expected = {key: torch.zeros_like(parameter) for key, parameter in learner.parameters().items()}
    optimizer = learner.optimizer
    optimizer.register_step_pre_hook(
        lambda *_: [
            expected[key].add_(0.1 * parameter.grad**2) for key, parameter in learner.parameters().items()
        ] and None
    )  # fmt: skip
    begin = {key: parameter.detach().clone() for key, parameter in learner.parameters().items()}
    method.begin_task(0)
    learner.learn(method, lambda step: None)
    for key, value in expected.items():
        assert torch.allclose(method.path[key], value, rtol=1e-3, atol=1e-7)
    method.end_task()
    for key, parameter in learner.parameters().items():
        way = parameter.detach() - begin[key]
        assert torch.allclose(method.importance[key], expected[key] / (way**2 + 0.1), rtol=1e-3, atol=1e-6)
        assert torch.equal(method.anchor[key], parameter)
