"""Methods where the network is not in the processor's memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pretended
import pytest
import torch
from sequence_helpers import SMALL, learner_and_method, permuted_clusters, split_clusters
from torch import Tensor

from sparse_agents import DSTD3
from sparse_agents.continual.agents.learner import AgentLearner, AgentTraining
from sparse_agents.continual.companions import COMPANIONS
from sparse_agents.continual.methods import METHODS, make_method
from sparse_agents.continual.runner import SequenceRun

NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
SEQUENCES = pytest.mark.parametrize("sequence", [split_clusters(), permuted_clusters()], ids=lambda s: s.name)
RENEWING = {"redo": {"redo_interval": 3, "redo_threshold": 0.5}, "cbp": {"cbp_rate": 0.1, "cbp_maturity": 2}}


def state_after(name: str, sequence, device: str, companion: str | None = None) -> dict[str, Tensor]:
    """Two tasks, and what the first one's view then says."""
    options = RENEWING.get(companion or "", {})
    learner, method = learner_and_method(name, sequence, replace(SMALL, device=device), companion=companion, **options)
    for task in range(2):
        method.begin_task(task)
        learner.learn(method, lambda step: None)
        scores = learner.scores(method)
        method.end_task()
    with method.view(0), torch.no_grad():
        said = learner.module(learner.sequence.tasks[0].test.inputs)
    assert scores.keys() == {"known", "unknown"}
    return {**learner.module.state_dict(), "said": said}


def assert_alike(name: str, sequence, companion: str | None = None) -> None:
    with pretended.Device(), pretended.drawing_as_the_processor():
        there = state_after(name, sequence, str(pretended.DEVICE), companion)
    here = state_after(name, sequence, "cpu", companion)
    assert there.keys() == here.keys()
    for key, value in here.items():
        torch.testing.assert_close(there[key].held, value, msg=key)


@pytest.mark.parametrize("name", METHODS)
@SEQUENCES
def test_a_method_does_on_a_device_what_it_does_on_the_processor(name: str, sequence) -> None:
    """And asks for nothing that is elsewhere."""
    assert_alike(name, sequence)


@pytest.mark.parametrize("companion", COMPANIONS)
def test_companions_too(companion: str) -> None:
    assert_alike("finetune", split_clusters(), companion)


@pytest.mark.parametrize("name", [pytest.param(one, marks=NEEDS_GPU) for one in METHODS])
@SEQUENCES
def test_a_method_on_a_real_device(name: str, sequence) -> None:
    """Sums in another order may decide a connection otherwise, so that it is accuracies that are compared."""
    there, here = (state_after(name, sequence, device) for device in ("cuda", "cpu"))
    assert there["said"].is_cuda
    labels = sequence.tasks[0].test.labels
    found, expected = ((state["said"].argmax(dim=1).cpu() == labels).float().mean() for state in (there, here))
    assert abs(found - expected) < 0.1


@pytest.mark.parametrize("name", [pytest.param(one, marks=NEEDS_GPU) for one in ("finetune", "packnet", "wsn", "ewc")])
def test_an_agent_on_a_real_device_is_resumed_there(name: str, tmp_path: Path) -> None:
    training = AgentTraining(
        DSTD3,
        60,
        policy_kwargs={"net_arch": [16, 16], "sparsity": 0.3, "distribution": "uniform"},
        hyperparams={"learning_starts": 20, "batch_size": 8, "buffer_size": 200},
        own_heads=METHODS[name].needs_identity,
        episodes=1,
        device="cuda",
    )
    envs = ("Pendulum-v1", "Pendulum-v1")

    def run() -> SequenceRun:
        return SequenceRun(
            tmp_path,
            lambda saved: AgentLearner(envs, training, 0, tmp_path, saved),
            lambda learner: make_method(name, learner, 2, 0),
            eval_every=30,
            save_every=30,
            device="cuda",
        )

    run().run()
    again = run()
    assert again.done()
    assert isinstance(again.learner, AgentLearner)
    assert next(again.learner.model.policy.parameters()).is_cuda
    assert len(again.learner.scores(again.method)["known"]) == 2
