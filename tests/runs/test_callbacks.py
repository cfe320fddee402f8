from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

from sparse_agents.runs import Continue, InterruptBetweenRollouts, Interrupted, checkpoint, make_env


class PressCtrlC(BaseCallback):
    """In the middle of an update of the topology."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.finished_layers = 0

    def _on_training_start(self) -> None:
        self.model.policy.topology_controllers["critic"].listeners.append(self._press)

    def _press(self, *_: object) -> None:
        """Called for each layer."""
        for _time in range(self.times):
            os.kill(os.getpid(), signal.SIGINT)
        self.times = 0
        self.finished_layers += 1

    def _on_step(self) -> bool:
        return True


def agent() -> SAC:
    options = {"update_interval": 10, "drop_fraction": 0.3}
    kwargs = {"net_arch": [16, 16], "topology_kwargs": options}
    settings = {"learning_starts": 20, "buffer_size": 500, "policy_kwargs": kwargs, "seed": 0, "device": "cpu"}
    return SAC("SparseMlpPolicy", make_env("Pendulum-v1", 0), **settings)


@pytest.fixture(autouse=True)
def _interrupts_arrive() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_until_the_topology_is_whole() -> None:
    before = signal.getsignal(signal.SIGINT)
    model, press = agent(), PressCtrlC(times=1)
    with pytest.raises(Interrupted):
        model.learn(200, callback=[InterruptBetweenRollouts(), press])
    assert press.finished_layers == 6, "two critics of three layers"
    for layer in model.policy.topology_controllers["critic"].layers.values():
        assert len(layer.weight) == layer.topology.nnz
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_one_is_obeyed_at_once() -> None:
    model, press = agent(), PressCtrlC(times=2)
    with pytest.raises(KeyboardInterrupt) as stop:
        model.learn(200, callback=[InterruptBetweenRollouts(), press])
    assert stop.type is KeyboardInterrupt
    assert press.finished_layers == 0


def test_a_run_interrupted_before_its_first_step_resumes(tmp_path: Path) -> None:
    class AtOnce(BaseCallback):
        def _on_training_start(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        def _on_step(self) -> bool:
            return True

    alone = agent()
    alone.learn(60)
    model = agent()
    with pytest.raises(Interrupted):
        model.learn(60, callback=[InterruptBetweenRollouts(), AtOnce()])
    assert model.num_timesteps == 0
    path = checkpoint.save(model, tmp_path)
    resumed, state = checkpoint.load(path, SAC, make_env("Pendulum-v1", 1))
    resumed.learn(60, callback=Continue(state, []), reset_num_timesteps=False)
    for ours, expected in zip(resumed.policy.parameters(), alone.policy.parameters(), strict=True):
        assert torch.equal(ours, expected)


def test_the_handler_goes_with_the_training() -> None:
    before = signal.getsignal(signal.SIGINT)
    agent().learn(40, callback=InterruptBetweenRollouts())
    assert signal.getsignal(signal.SIGINT) is before
