"""What holds for every method."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from sequence_helpers import SMALL, learner_and_method, permuted_clusters, run_sequence, split_clusters

from sparse_agents.continual.methods import METHODS
from sparse_agents.continual.methods.spacenet import SpaceNet
from sparse_agents.continual.records import read_records, score_matrix
from sparse_agents.continual.supervised.learner import Classifier
from sparse_agents.errors import ConfigurationError

EVERY = pytest.mark.parametrize("name", METHODS)
SEQUENCES = pytest.mark.parametrize("sequence", [split_clusters(), permuted_clusters()], ids=lambda s: s.name)
NEVER_FORGET = [name for name, kind in METHODS.items() if kind.never_forgets]


def states_equal(first: Classifier, second: Classifier) -> bool:
    one, other = first.module.state_dict(), second.module.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class StoppedError(Exception):
    """As if the process were killed."""


@EVERY
@SEQUENCES
def test_the_same_seed_gives_the_same_run(name: str, sequence, tmp_path: Path) -> None:
    learners = []
    for folder in ("one", "other"):
        learners.append(run_sequence(tmp_path / folder, name, sequence))
    assert states_equal(*learners)
    one, other = ((tmp_path / folder / "evaluations.csv").read_text() for folder in ("one", "other"))
    assert one == other
    different = run_sequence(tmp_path / "different", name, sequence, seed=1)
    assert not states_equal(learners[0], different)


@EVERY
@pytest.mark.parametrize("at", [7, 12, 31])
def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(name: str, at: int, tmp_path: Path) -> None:
    """Within the first task, at its end, and within later ones; checkpoints are at steps 5 and 10 of each."""
    whole = run_sequence(tmp_path / "whole", name)

    def kill(steps: int) -> None:
        if steps == at:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_sequence(tmp_path / "killed", name, progress=kill)
    assert states_equal(whole, run_sequence(tmp_path / "killed", name))
    one, other = ((tmp_path / folder / "evaluations.csv").read_text() for folder in ("whole", "killed"))
    assert one == other


@EVERY
@SEQUENCES
def test_what_the_gates_close_does_not_move(name: str, sequence) -> None:
    learner, method = learner_and_method(name, sequence)
    network = learner.networks["network"]
    for task in range(len(sequence.tasks)):
        method.begin_task(task)
        with method.whole(network):
            closed = {
                parameter: (~mask, parameter.detach()[~mask].clone())
                for gate in method.gates.values()
                for parameter, mask in gate.open.items()
            }
        shapes = {parameter: parameter.shape for parameter in closed}
        learner.learn(method, lambda step: None)
        with method.whole(network):
            for parameter, (mask, before) in closed.items():
                if parameter.shape == shapes[parameter] and not _rewires(name):
                    assert torch.equal(parameter.detach()[mask], before)
        method.end_task()


def _rewires(name: str) -> bool:
    """Methods whose slots move within a task are compared by connection, in their own tests."""
    return name in ("afaf", "spacenet")


@pytest.mark.parametrize("name", NEVER_FORGET)
@SEQUENCES
def test_zero_forgetting_is_exact(name: str, sequence) -> None:
    """On a fixed probe a task's view has the same bits after every later task, and within them."""
    learner, method = learner_and_method(name, sequence)
    probe = torch.randn(9, sequence.inputs, generator=torch.Generator().manual_seed(3))
    remembered: list[torch.Tensor] = []

    def units(task: int) -> torch.Tensor:
        own = learner.outputs(task)
        return torch.arange(sequence.classes) if own is None else own

    def check(step: int) -> None:
        for task, expected in enumerate(remembered):
            with method.view(task), torch.no_grad():
                assert torch.equal(learner.module(probe)[:, units(task)], expected)

    for task in range(len(sequence.tasks)):
        method.begin_task(task)
        check(0)
        learner.learn(method, check)
        method.end_task()
        with method.view(task), torch.no_grad():
            remembered.append(learner.module(probe)[:, units(task)])
        check(0)
    assert len(remembered) == 3


@EVERY
@SEQUENCES
def test_capacity_is_accounted_for(name: str, sequence) -> None:
    learner, method = learner_and_method(name, sequence)
    frozen = dict.fromkeys(method.capacity(), 0)
    for task in range(len(sequence.tasks)):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        method.end_task()
        for layer, capacity in method.capacity().items():
            assert min(vars(capacity).values()) >= 0
            assert capacity.free + capacity.frozen <= capacity.possible
            assert capacity.shared <= capacity.possible
            assert capacity.frozen >= frozen[layer]
            frozen[layer] = capacity.frozen


@EVERY
def test_views_leave_no_trace(name: str) -> None:
    learner, method = learner_and_method(name)
    for task in range(2):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        method.end_task()
    before = {key: value.clone() for key, value in learner.module.state_dict().items()}
    for task in (None, 0, 1, 2):
        with method.view(task), torch.no_grad():
            learner.module(torch.randn(2, 12))
    after = learner.module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@EVERY
def test_unknown_options_are_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"option of method '{name}' 'strenght'")):
        learner_and_method(name, strenght=1)


def test_unknown_methods_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Unknown method .spacnet.\. Did you mean .spacenet."):
        learner_and_method("spacnet")


@EVERY
def test_it_learns(name: str, tmp_path: Path) -> None:
    """Every task, when its turn is; told apart where the method needs that."""
    training = SMALL.__class__(hidden=(40, 40), batch_size=16, steps=150, learning_rate=0.05)
    options = (
        {"neurons": 0.3, "reserved": 0.2, "density": [0.6, 0.6, 0.6]} if issubclass(METHODS[name], SpaceNet) else {}
    )
    run_sequence(tmp_path, name, training=training, **options)
    matrix = score_matrix(read_records(tmp_path / "evaluations.csv"), "known")
    assert all(matrix[task + 1, task] > 0.85 for task in range(3)), matrix
