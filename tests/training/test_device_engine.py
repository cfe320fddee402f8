"""Agents trained on a CUDA device, or on an emulated one, against Stable-Baselines3's own update."""

from __future__ import annotations

import copy
import gc
import operator
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
import torch
from emulation import EmulatedLauncher
from stable_baselines3.common.buffers import ReplayBuffer
from twins import REWIRING, agents, assert_native, difference, seed, train_both

from sparse_agents import DSSAC, DSTD3
from sparse_agents.nn import sparse_layers
from sparse_agents.ops.cuda import Processor, launcher_for
from sparse_agents.training import resident
from sparse_agents.training.device_engine import DeviceEngine
from sparse_agents.training.natively import Compiled, TrainsNatively
from sparse_agents.training.replay import ARRAYS, Gathered, Minibatch, is_plain, minibatch_of
from sparse_agents.training.resident import DeviceBuffer, DeviceBuffers, Resident

PROCESSORS = {"small networks": Processor(4, 1 << 15), "layer by layer": Processor(4, 1024)}
NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


class Place(NamedTuple):
    """Where agents are, and what launches kernels there."""

    device: str
    launcher: Any


class DrawnOnTheHost(Resident):
    """As Stable-Baselines3 draws."""

    on_device = False

    def __init__(self, buffer: ReplayBuffer, held: DeviceBuffer, batch: int) -> None:
        super().__init__(buffer, held, batch)
        with torch.device("cpu"):
            self._drawn = Gathered(buffer, batch, torch.float32)

    def draw(self) -> None:
        self._drawn.draw()
        self._rows.copy_(self._drawn._rows)


class OnTheSameMinibatches(DeviceEngine):
    """As Stable-Baselines3's own update."""

    def minibatch(self, model: Any, batch: int, dtype: torch.dtype) -> Minibatch:
        if is_plain(model):
            buffer = model.replay_buffer
            return DrawnOnTheHost(buffer, DeviceBuffer(buffer, model.device), batch)
        return minibatch_of(model, batch, dtype)


@contextmanager
def training_by(engine: type[DeviceEngine], launcher: Any) -> Iterator[None]:
    """Every agent, each of its steps with an engine of its own."""
    with mock.patch.object(TrainsNatively, "engine", side_effect=lambda: engine(launcher, DeviceBuffers())):
        yield


@pytest.fixture(params=[*PROCESSORS, pytest.param("cuda", marks=NEEDS_GPU)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Every agent is trained there."""
    if request.param == "cuda":
        found = Place("cuda", launcher_for(torch.device("cuda")))
    else:
        found = Place("cpu", EmulatedLauncher(PROCESSORS[request.param]))
    with training_by(OnTheSameMinibatches, found.launcher):
        yield found


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (DSTD3, {"policy_delay": 2}),
        (DSSAC, {"ent_coef": "auto_0.1"}),
        pytest.param(DSSAC, {"ent_coef": 0.5}, marks=pytest.mark.slow),
        (DSTD3, {"policy": {"layer_norm": ["actor", "critic"]}}),
    ],
    ids=["TD3", "SAC", "SAC, fixed coefficient", "TD3, normalised"],
)
def test_one_update_at_a_time(kind: Any, options: dict[str, Any], place: Place) -> None:
    policy = {"topology_kwargs": REWIRING, **options.get("policy", {})}
    native, plain = agents(kind, **{**options, "policy": policy}, device=place.device)
    for update in range(5):
        plain.set_parameters(copy.deepcopy(native.get_parameters()))
        if vars(native).get("log_ent_coef") is not None:
            plain.log_ent_coef.data.copy_(native.log_ent_coef)
        train_both(native, plain, 1)
        assert difference(native, plain) < 2e-5, update
    assert_native(native)


@pytest.mark.parametrize("kind", [DSTD3, DSSAC])
def test_what_is_logged(kind: Any, place: Place) -> None:
    native, plain = agents(kind, policy={"topology": "static"}, device=place.device)
    for model in (native, plain):
        seed(2)
        model.train(1, 32)
    train_both(native, plain, 3, per_call=3)
    found, expected = ({**model.logger.name_to_value} for model in (native, plain))
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_dense_matrices_and_other_minibatches(place: Place) -> None:
    """Torch's products in between; minibatches that the buffer makes."""
    policy = {"topology": "static", "sparsity": {"actor": 0.8, "critic": 0.3}}
    native, plain = agents(policy=policy, n_steps=3, device=place.device)
    train_both(native, plain, 1)
    plain.set_parameters(copy.deepcopy(native.get_parameters()))
    train_both(native, plain, 1)
    assert difference(native, plain) < 2e-5


def _launches_of_an_update(model: Any, launcher: EmulatedLauncher) -> int:
    before = len(launcher.launches)
    model.train(1, 32)
    return len(launcher.launches) - before


def test_launches_of_sac() -> None:
    launcher = EmulatedLauncher(PROCESSORS["small networks"])
    model, _ = agents(DSSAC, policy={"topology": "static"}, ent_coef="auto")
    with training_by(DeviceEngine, launcher):
        model.train(1, 32)  # by Stable-Baselines3, for the optimizers to begin
        assert _launches_of_an_update(model, launcher) == 28  # as docs/performance.md says


def test_drawn_on_the_device() -> None:
    """Graphs of the update with the actor and of the one without, and one each for another learning rate."""
    launcher = EmulatedLauncher(PROCESSORS["small networks"])
    model, _ = agents(policy={"topology": "static"}, policy_delay=2)
    with training_by(DeviceEngine, launcher):
        before = copy.deepcopy(model.policy.state_dict())
        model.train(8, 32)
        assert launcher.captures == 2
        counts = [_launches_of_an_update(model, launcher) for _ in range(2)]
        assert launcher.captures == 2
        assert counts == [9, 13]  # as docs/performance.md says
        model.lr_schedule = lambda progress: 1e-5
        model.train(2, 32)
        assert launcher.captures == 2  # numbers that may not come again
        model.train(2, 32)
        assert launcher.captures == 4
    assert_native(model)
    after = model.policy.state_dict()
    assert all(bool(torch.isfinite(after[name]).all()) for name in after if after[name] is torch.Tensor)
    assert not torch.equal(before["actor.mu.0.weight"], after["actor.mu.0.weight"])


FOLLOWING = {"topology": "rigl", "topology_kwargs": {**REWIRING, "update_interval": 5}}


@pytest.mark.parametrize(
    ("kind", "processor"),
    [
        (DSTD3, "small networks"),
        (DSTD3, "layer by layer"),
        pytest.param(DSSAC, "small networks", marks=pytest.mark.slow),
        (DSSAC, "layer by layer"),
    ],
)
def test_graphs_outlast_rewiring(kind: Any, processor: str) -> None:
    """They do what a step does that is made anew each time, moments, counts and gradients included."""
    results, captures = [], []
    for follows in (True, False):
        launcher = EmulatedLauncher(PROCESSORS[processor])
        model, _ = agents(kind, policy=FOLLOWING)
        first = [layer.topology.edges for layer in sparse_layers(model.policy).values()]
        with (
            training_by(DeviceEngine, launcher),
            mock.patch.object(Compiled, "follow", Compiled.follow if follows else lambda *_: False),
        ):
            seed(3)
            for _ in range(32):
                model.train(1, 8)
        assert_native(model)
        edges = [layer.topology.edges for layer in sparse_layers(model.policy).values()]
        assert not any(map(operator.is_, first, edges))
        results.append(model)
        captures.append(launcher.captures)
    closely = 0.0 if processor == "small networks" else 1e-6  # lanes are for rows as they were at first
    assert difference(*results) <= closely
    for kept, anew in zip(*(model.critic.parameters() for model in results), strict=True):
        torch.testing.assert_close(kept.grad, anew.grad, rtol=closely, atol=closely)
    assert captures[0] == {DSTD3: 2, DSSAC: 1}[kind] < captures[1]


@pytest.mark.parametrize("kind", [pytest.param(one, marks=NEEDS_GPU) for one in (DSTD3, DSSAC)])
def test_a_graph_does_what_its_launches_do(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewiring in between."""
    results = []
    for capture in (True, False):
        model, _ = agents(kind, policy={"topology_kwargs": REWIRING}, device="cuda")
        monkeypatch.setattr(Resident, "on_device", capture)
        seed(3)
        for _ in range(60):
            model.train(1, 32)
        assert_native(model)
        results.append(model)
    assert difference(*results) == 0


@pytest.mark.parametrize("share", [pytest.param(0.0, marks=NEEDS_GPU)])
def test_a_buffer_that_stays_on_the_host_makes_no_difference(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """But in time."""
    results = []
    for part in (resident.SHARE_OF_MEMORY, share):
        monkeypatch.setattr(resident, "SHARE_OF_MEMORY", part)
        model, _ = agents(policy={"topology_kwargs": REWIRING}, device="cuda")
        seed(3)
        for _ in range(20):
            model.train(1, 32)
        tables = model._buffers.of(model.replay_buffer, model.device).tables
        assert {type(table) for table in tables.values()} == {resident.Copied if part else resident.Pinned}
        results.append(model)
    assert difference(*results) == 0


@pytest.mark.parametrize("n_envs", [1, 3])
def test_a_resident_buffer_has_what_the_buffer_has(n_envs: int) -> None:
    """While that is filled, and begins anew."""
    model, _ = agents(n_envs=n_envs, buffer_size=n_envs * 40)
    buffer = model.replay_buffer
    assert buffer.full
    torch.manual_seed(0)
    held = DeviceBuffer(buffer, torch.device("cpu"))
    data = Resident(buffer, held, 3000)
    rng = np.random.default_rng(1)
    for added in (0, 7, 30, 1):
        for _ in range(added):
            now, then = rng.standard_normal((2, n_envs, *buffer.obs_shape))
            action = rng.uniform(-1, 1, (n_envs, buffer.action_dim))
            buffer.add(now, then, action, np.ones(n_envs), np.zeros(n_envs), [{}] * n_envs)
        data.refresh()
        data.draw()
        (operation,) = data.operations()
        assert {name: bool((held.tables[name].tensor.numpy() == getattr(buffer, name)).all()) for name in ARRAYS} == (
            dict.fromkeys(ARRAYS, True)
        )
        assert set(data._rows.tolist()) == set(range(40 * n_envs))
        assert operation.rows == 3000


def test_one_copy_of_a_buffer() -> None:
    """However often a step is made anew; another for another buffer."""
    first, second = (agents(buffer_size=1000)[0].replay_buffer for _ in range(2))
    buffers, place = DeviceBuffers(), torch.device("cpu")
    held = buffers.of(first, place)
    first.pos += 1
    assert buffers.of(first, place) is held
    assert held.size == 301
    assert buffers.of(second, place) is not held
    first.rewards = first.rewards.copy()
    assert buffers.of(first, place) is not held


def test_a_step_that_is_dropped_is_gone() -> None:
    """With its memory, and before anybody collects cycles."""
    launcher = EmulatedLauncher(PROCESSORS["small networks"])
    for kind in (DSTD3, DSSAC):
        model, _ = agents(kind, policy={"topology": "static"})
        with training_by(DeviceEngine, launcher):
            model.train(4, 8)
        step = weakref.ref(model._compiled.step)
        gc.disable()
        try:
            model._compiled = None
            assert step() is None
        finally:
            gc.enable()


def test_rows_that_are_not_there_yet_are_not_drawn() -> None:
    model, _ = agents(buffer_size=1000)
    data = Resident(model.replay_buffer, DeviceBuffer(model.replay_buffer, torch.device("cpu")), 5000)
    data.draw()
    assert set(data._rows.tolist()) == set(range(300))
