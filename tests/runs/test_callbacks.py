from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from sb3_helpers import Noise
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

from sparse_agents.runs import InterruptBetweenRollouts


class PressCtrlC(BaseCallback):
    """In the middle of an update of the topology."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.finished_updates = 0

    def _on_training_start(self) -> None:
        self.model.policy.topology_controllers["critic"].listeners.append(self._press)

    def _press(self, *_: object) -> None:
        for _time in range(self.times):
            os.kill(os.getpid(), signal.SIGINT)
        self.finished_updates += 1

    def _on_step(self) -> bool:
        return True


def agent() -> SAC:
    options = {"update_interval": 10, "drop_fraction": 0.3}
    kwargs = {"net_arch": [16, 16], "topology_kwargs": options}
    return SAC("SparseMlpPolicy", Noise(), learning_starts=20, buffer_size=500, policy_kwargs=kwargs, device="cpu")


@pytest.fixture(autouse=True)
def _interrupts_arrive() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_until_the_topology_is_whole() -> None:
    before = signal.getsignal(signal.SIGINT)
    model, press = agent(), PressCtrlC(times=1)
    with pytest.raises(KeyboardInterrupt):
        model.learn(200, callback=[InterruptBetweenRollouts(), press])
    assert press.finished_updates >= 1
    for layer in model.policy.topology_controllers["critic"].layers.values():
        assert len(layer.weight) == layer.topology.nnz
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_one_is_obeyed_at_once() -> None:
    model, press = agent(), PressCtrlC(times=2)
    with pytest.raises(KeyboardInterrupt):
        model.learn(200, callback=[InterruptBetweenRollouts(), press])
    assert press.finished_updates == 0


def test_the_handler_goes_with_the_training() -> None:
    before = signal.getsignal(signal.SIGINT)
    agent().learn(40, callback=InterruptBetweenRollouts())
    assert signal.getsignal(signal.SIGINT) is before
