"""AFAF: where later tasks put their connections."""

from __future__ import annotations

import pytest
import torch
from sequence_helpers import SMALL, clusters, learner_and_method

from sparse_agents.continual.methods.afaf import AFAF
from sparse_agents.continual.supervised.learner import Classifier
from sparse_agents.continual.supervised.tasks import split
from sparse_agents.errors import ConfigurationError

WIDTH, DRAWN, REUSED = 40, 8, 2  # 0.3 of the 8 drawn, rounded


def after(tasks: int, **options: object) -> tuple[Classifier, AFAF]:
    training = SMALL.__class__(hidden=(WIDTH, WIDTH, WIDTH), batch_size=16, steps=12, learning_rate=0.1)
    sequence = split("three", *clusters(classes=6), classes_per_task=2)
    given = {"density": [0.5, 0.5, 0.5, 0.5], "reuse_from": 1, **options}
    learner, method = learner_and_method("afaf", sequence, training, **given)
    assert isinstance(method, AFAF)
    for task in range(tasks):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        method.end_task()
    return learner, method


def most_active(learner: Classifier, label: int, layer: int) -> list[int]:
    """Units of a hidden layer, by full matrices, the most active for the class first."""
    (network,) = learner.networks.values()
    inputs, _ = next(
        task.train for task in learner.sequence.tasks if label in task.classes
    ).of_classes([label])  # fmt: skip
    x = inputs
    for index, one in enumerate(network.trunk.values()):
        x = torch.relu(x @ one.topology.edges.dense(one.weight.detach()).T + one.bias)
        if index == layer:
            break
    return x.mean(dim=0).argsort(descending=True, stable=True).tolist()


def test_first_layers_are_left_as_they_are_and_every_edge_ends_in_a_free_unit() -> None:
    learner, method = after(1)
    (network,) = learner.networks.values()
    free = {key: value.clone() for key, value in method.free.items()}
    method.begin_task(1)
    for index, (name, layer) in enumerate(network.trunk.items()):
        key = network.key(name)
        own = method.owners.of[key] == 1
        assert bool(own.any()) == (index >= 1)
        assert free[key][layer.topology.edges.row[own]].all()


def test_sources_are_the_most_active_units_of_each_class_and_some_that_are_free() -> None:
    learner, method = after(1)
    (network,) = learner.networks.values()
    names = list(network.trunk)
    free = {key: value.clone() for key, value in method.free.items()}
    best = {layer: {u for label in (2, 3) for u in most_active(learner, label, layer)[:REUSED]} for layer in (0, 1)}
    method.begin_task(1)
    for layer in (0, 1):
        above = network.trunk[names[layer + 1]].topology.edges
        key, own = network.key(names[layer + 1]), method.owners.of[network.key(names[layer + 1])] == 1
        sources = set(above.col[own].tolist())
        further = sources - best[layer]
        assert sources & best[layer]
        assert set(method.sources[key].tolist()) >= sources
        assert len(method.sources[key]) <= 2 * REUSED + round(0.7 * DRAWN)
        assert free[network.key(names[layer])][torch.tensor(sorted(further))].all()


def test_the_last_hidden_layer_gives_all_it_drew_to_the_task() -> None:
    learner, method = after(1)
    (network,) = learner.networks.values()
    last = network.key(list(network.trunk)[-1])
    assert int((~method.free[last]).sum()) == DRAWN
    method.begin_task(1)
    (head,) = network.heads.values()
    own = method.owners.of[network.key(next(iter(network.heads)))] == 1
    edges = head.topology.edges
    assert set(edges.row[own].tolist()) <= {2, 3}
    assert method.free[last][edges.col[own].long()].all()


def test_units_count_by_what_goes_out_from_them() -> None:
    learner, method = after(0)
    method.begin_task(0)
    (network,) = learner.networks.values()
    keys = [network.key(name) for name in network.layers]
    for key in keys:
        method.importance[key] = torch.rand(len(method.importance[key]))
    found = method._neurons(network)
    for index, (name, layer) in enumerate(network.layers.items()):
        key = network.key("") if index == 0 else keys[index - 1]
        expected = layer.topology.edges.dense(method.importance[network.key(name)]).sum(dim=0)
        assert torch.allclose(found[key], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"reused_layers": 3}, "at least the first"), ({"reuse": 1.5}, "reuse=1.5"), ({"neurons": 0.5}, "do not fit")],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        after(0, **options)
