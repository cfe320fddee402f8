"""TD3 trained natively is TD3 trained by Stable-Baselines3, on the same minibatches and noise."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from kernel_problems import THREADING_WORK
from sb3_helpers import DoubleFlatten, Noise, Still, fill
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv
from twins import (
    POLICY,
    REWIRING,
    agents,
    assert_copies_train_alike,
    assert_native,
    counting,
    difference,
    fill_all,
    seed,
    train_both,
)

from sparse_agents import DSTD3
from sparse_agents.nn import sparse_layers
from sparse_agents.nn.backends import use_backend
from sparse_agents.training.dense_passes import DenseNetwork
from sparse_agents.training.engine import HostEngine
from sparse_agents.training.natively import TrainsNatively
from sparse_agents.training.optimizers import steps_natively

SLOWER = [("set", 1), ("rigl", 10), ("static", 1), ("static", 10)]


@pytest.mark.parametrize(
    ("rule", "per_call"),
    [("set", 10), ("rigl", 1), *(pytest.param(*c, marks=pytest.mark.slow) for c in SLOWER)],
)
def test_a_thousand_updates_with_rewiring(rule: str, per_call: int, any_extractor: None) -> None:
    policy = {"topology": rule, "topology_kwargs": {} if rule == "static" else REWIRING}
    native, plain = agents(double=True, policy=policy)
    before = native.critic.qf0[0].topology.edges
    train_both(native, plain, 1000, per_call)
    assert_native(native)
    assert native._n_updates == plain._n_updates == 1000
    assert native.critic.qf0[0].topology.edges.same_as(before) == (rule == "static")
    for name, controller in native.policy.topology_controllers.items():
        assert controller.steps == plain.policy.topology_controllers[name].steps
    assert difference(native, plain) < 1e-9


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("options", [{}, {"policy_delay": 3, "gamma": 0.9, "tau": 0.1}, {"policy_delay": 1}])
def test_one_update_at_a_time_in_float32(n_envs: int, options: dict[str, Any]) -> None:
    native, plain = agents(n_envs=n_envs, policy={"topology_kwargs": REWIRING}, **options)
    for update in range(30):
        plain.set_parameters(copy.deepcopy(native.get_parameters()))
        for name, controller in plain.policy.topology_controllers.items():
            controller.steps = native.policy.topology_controllers[name].steps
        train_both(native, plain, 1)
        assert difference(native, plain) < 2e-6, update
    assert_native(native)


@pytest.mark.parametrize(
    "policy",
    [
        {"optimizer_kwargs": {"weight_decay": 0.1}},
        {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": {"weight_decay": 0.1, "betas": (0.8, 0.9)}},
        {"optimizer_kwargs": {"amsgrad": True}},
        {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.9, "nesterov": True}},
        {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"centered": True}},
        {"learning_rate_scale": {"actor": 0.5, "critic": "auto"}},
        {"activation_fn": torch.nn.Tanh},
        {"net_arch": {"pi": [8], "qf": [30, 20, 10]}, "n_critics": 3},
        {"dense_output": True},
        {"backend": "masked"},
        {"backend": "masked", "activation_fn": torch.nn.Tanh, "dense_output": True},
        {"sparsity": 0.0},
        {"layer_norm": ["critic"]},
        {"layer_norm": ["actor", "critic"], "activation_fn": torch.nn.Tanh},
        {"layer_norm": ["actor", "critic"], "backend": "masked"},
    ],
    ids=[
        "L2 decay",
        "decoupled decay",
        "AMSGrad",
        "momentum",
        "RMSprop",
        "scaled learning rate",
        "tanh",
        "three critics of other sizes",
        "dense outputs",
        "dense matrices",
        "dense matrices, tanh",
        "all connections",
        "normalised critics",
        "all normalised",
        "all normalised, dense matrices",
    ],
)
def test_settings_are_honoured(policy: dict[str, Any], any_extractor: None) -> None:
    settings = {"optimizer_kwargs": {}, **policy, "topology_kwargs": REWIRING}
    native, plain = agents(double=True, policy=settings)
    train_both(native, plain, 40)
    assert_native(native)
    assert difference(native, plain) < 1e-10


def test_a_changed_backend_is_noticed(any_extractor: None) -> None:
    native, plain = agents(double=True, policy={"topology_kwargs": REWIRING, "backend": "csr"})
    train_both(native, plain, 10)
    for model in (native, plain):
        use_backend(model.policy, sparse_layers(model.policy).values(), "masked")
    train_both(native, plain, 20)
    assert_native(native)
    assert isinstance(HostEngine().network_of(native.critic.qf0), DenseNetwork)
    assert difference(native, plain) < 1e-10


def test_losses_and_counts_are_logged_as_ever(any_extractor: None) -> None:
    native, plain = agents(double=True, policy={"topology": "static"})
    for model in (native, plain):
        seed(0)
        model.train(4, 32)  # begins the optimizers
    train_both(native, plain, 6, per_call=6)
    for name in ("train/critic_loss", "train/actor_loss", "train/n_updates", "train/learning_rate"):
        expected = plain.logger.name_to_value[name]
        assert native.logger.name_to_value[name] == pytest.approx(expected, rel=1e-6), name


def test_learning_rate_schedules_and_changed_settings(any_extractor: None) -> None:
    native, plain = agents(double=True, policy={"topology": "static"}, learning_rate=lambda left: 0.01 * left)
    for left in (1.0, 0.5, 0.1):
        for model in (native, plain):
            model._current_progress_remaining = left
            model.tau, model.gamma, model.target_policy_noise, model.target_noise_clip = 0.1 * left, left, left, 0.3
        train_both(native, plain, 6)
    assert difference(native, plain) < 1e-10


def test_loaded_parameters_and_buffers_are_noticed(any_extractor: None) -> None:
    """Nothing goes on training what used to be there."""
    native, plain = agents(double=True, policy={"topology": "static"})
    other, _ = agents(double=True, policy={"topology": "static"})
    seed(5)
    other.train(7, 32)
    train_both(native, plain, 4)
    for model in (native, plain):
        model.set_parameters(copy.deepcopy(other.get_parameters()))
    train_both(native, plain, 4)
    assert difference(native, plain) < 1e-10
    for model in (native, plain):
        model.critic.qf0[0].weight.data = model.critic.qf0[0].weight.data.clone() * 2
    train_both(native, plain, 4)
    assert difference(native, plain) < 1e-10
    for model in (native, plain):
        model.replay_buffer = type(model.replay_buffer)(50, model.observation_space, model.action_space, device="cpu")
        fill(model, 40, seed=3)
    train_both(native, plain, 4)
    assert difference(native, plain) < 1e-10


def test_the_same_bits_while_there_is_a_tile_for_every_thread() -> None:
    batch = 1100
    native, again = agents(policy={"net_arch": [160, 160], "sparsity": 0.5, "topology": "static"})
    assert batch * sum(layer.topology.nnz for layer in sparse_layers(native.actor).values()) > THREADING_WORK
    for threads, model in ((2, native), (1, again)):
        torch.set_num_threads(threads)
        seed(1)
        with counting() as ran:
            model.train(6, batch)
        assert len(ran) >= 4
    assert difference(native, again) == 0


COMPACT = {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}


@pytest.mark.parametrize("n_envs", [1, 2])
@pytest.mark.parametrize(
    "settings", [{"n_steps": 3}, {"normalize": True}, COMPACT], ids=["n steps", "normalised", "compact"]
)
def test_other_minibatches(settings: dict[str, Any], n_envs: int, any_extractor: None) -> None:
    """Over several steps, normalised, and from a buffer without next observations."""
    native, plain = agents(double=True, n_envs=n_envs, policy={"topology_kwargs": REWIRING}, **settings)
    train_both(native, plain, 60)
    assert_native(native)
    assert difference(native, plain) < 1e-10


class Odd(torch.nn.ReLU):
    pass


class OwnBuffer(ReplayBuffer):
    pass


@pytest.mark.parametrize(
    ("policy", "settings", "says"),
    [
        ({"activation_fn": Odd}, {}, "more than linear layers"),
        ({"topology": "snfs"}, {}, "works at every step"),
        ({"n_critics": 17, "net_arch": [4]}, {}, "more than 16 critics"),
        ({"features_extractor_class": DoubleFlatten}, {}, "DoubleFlatten may do more"),
        ({}, {"target_topology": "capped"}, "connections of its own"),
        ({}, {"replay_buffer_class": OwnBuffer}, "OwnBuffer"),
    ],
)
def test_what_is_not_eligible_goes_the_ordinary_way_and_says_so_once(
    policy: dict[str, Any], settings: dict[str, Any], says: str
) -> None:
    kwargs = {**POLICY, **policy}
    model = DSTD3("SparseMlpPolicy", Still(), buffer_size=100, batch_size=8, seed=0, policy_kwargs=kwargs, **settings)
    fill(model, 60)
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.policy.to(torch.float64 if "DoubleFlatten" in says else torch.float32)

    def train() -> None:
        for _ in range(3):
            model.train(2, 8)

    with pytest.warns(UserWarning, match="Training by Stable-Baselines3's own step") as said:
        train()
    assert model._n_updates == 6
    assert len(said) == 1
    assert says in str(said[0].message)
    assert says in str(model.why_not_native())


def test_losses_are_logged_as_ever_around_topology_updates(any_extractor: None) -> None:
    """An actor's loss of an earlier call, still in the logger, is not one of this."""
    native, plain = agents(double=True, policy={"topology_kwargs": REWIRING}, policy_delay=3)
    train_both(native, plain, 8)
    for _ in range(12):
        train_both(native, plain, 3, per_call=3)
        for name in ("train/critic_loss", "train/actor_loss"):
            assert native.logger.name_to_value[name] == pytest.approx(plain.logger.name_to_value[name], rel=1e-6)


def test_copies_of_agents_with_capped_targets_average_them() -> None:
    model, _ = agents(policy={"topology_kwargs": REWIRING}, target_topology="capped")
    assert_copies_train_alike(model, 20)


def test_an_optimizer_that_no_topology_follows_is_named() -> None:
    model, _ = agents(policy={"topology_kwargs": REWIRING})
    model.critic.optimizer = torch.optim.Adam(model.critic.parameters())
    assert "the critic's optimizer is another than its topology follows" in model.why_not_native()
    model.policy.topology_controllers["critic"].attach(model.critic.optimizer)
    assert model.why_not_native() is None


def test_targets_with_connections_of_their_own_are_named() -> None:
    model, _ = agents(policy={"share_topology": False})
    assert "the actor target has connections of its own" in model.why_not_native()


def test_networks_without_a_sparse_layer_are_named() -> None:
    model, _ = agents(policy={"exclude": ["critic*"]})
    assert "critic 0 has no sparse layer" in model.why_not_native()


def test_moments_of_another_type_never_reach_the_kernels() -> None:
    native, _ = agents(policy={"topology": "static"})
    native.train(6, 32)
    assert steps_natively(native.critic.optimizer)
    native.policy.double()
    assert not steps_natively(native.critic.optimizer)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float16])
def test_observations_that_are_cast(kind: Any) -> None:
    class Integers(Still):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = spaces.Box(0, 100, (4,), kind)

    model = DSTD3("SparseMlpPolicy", Integers(), buffer_size=100, batch_size=8, seed=0, policy_kwargs=dict(POLICY))
    fill(model, 60)
    model.train(4, 8)
    assert f"observations are {np.dtype(kind)}" in str(model.why_not_native())


def test_copies_of_agents() -> None:
    native, _ = agents(policy={"topology": "static"})
    assert_copies_train_alike(native, 6)
    assert native._compiled.step is not None


def test_stock_td3_is_left_alone() -> None:
    assert not issubclass(TD3, TrainsNatively)


def test_saving_does_not_mind(tmp_path: Any) -> None:
    native, _ = agents()
    seed(0)
    native.train(6, 32)
    native.save(tmp_path / "agent")
    loaded = DSTD3.load(tmp_path / "agent", env=DummyVecEnv([Noise]), device="cpu")
    fill_all(loaded)
    loaded.set_logger(native.logger)
    for model in (native, loaded):
        seed(2)
        model.train(6, 32)
    assert difference(native, loaded) == 0
