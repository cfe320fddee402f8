"""Several environments, other rhythms of training, goals: what Stable-Baselines3 does around a policy."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from samples import VECTOR, Sample
from stable_baselines3 import DQN, PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

from sparse_agents.nn import sparse_layers

POLICY = {"net_arch": [16, 16], "sparsity": 0.6, "topology": "rigl",
          "topology_kwargs": {"update_interval": 4, "drop_fraction": 0.3}}  # fmt: skip
OFF_POLICY: dict[str, Any] = {"buffer_size": 300, "batch_size": 8, "learning_starts": 12}


def continuous() -> gym.Env:
    return Sample(VECTOR, discrete=False)


def discrete() -> gym.Env:
    return Sample(VECTOR, discrete=True)


def assert_trains(model: Any, steps: int = 120) -> None:
    layers = sparse_layers(model.policy)
    before = {name: layer.topology.edges for name, layer in layers.items()}
    model.learn(steps)
    for name, layer in layers.items():
        assert layer.topology.nnz == before[name].nnz
    assert any(not layer.topology.edges.same_as(before[name]) for name, layer in layers.items())


AGENTS: tuple[tuple[type, Any, dict[str, Any]], ...] = (
    (PPO, continuous, {"n_steps": 8, "batch_size": 12}),
    (TD3, continuous, OFF_POLICY),
    (DQN, discrete, OFF_POLICY),
)


@pytest.mark.parametrize(("kind", "factory", "settings"), AGENTS, ids=["PPO", "TD3", "DQN"])
@pytest.mark.parametrize("normalise", [False, True])
def test_several_environments(kind: type, factory: Any, settings: dict[str, Any], normalise: bool) -> None:
    env = make_vec_env(factory, 3, seed=0)
    env = VecNormalize(env) if normalise else env
    assert_trains(kind("SparseMlpPolicy", env, device="cpu", policy_kwargs=dict(POLICY), **settings))


def test_environments_in_processes_of_their_own() -> None:
    kind, factory, settings = AGENTS[0]
    env = VecNormalize(make_vec_env(factory, 3, seed=0, vec_env_cls=SubprocVecEnv))
    assert_trains(kind("SparseMlpPolicy", env, device="cpu", policy_kwargs=dict(POLICY), **settings))
    env.close()


@pytest.mark.parametrize(
    "rhythm",
    [
        {"train_freq": 5, "gradient_steps": 3},
        {"train_freq": (1, "episode"), "gradient_steps": -1},
        {"n_steps": 3},
        {"policy_delay": 3, "gradient_steps": 2},
        {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}},
    ],
)
def test_rhythms_of_training(rhythm: dict[str, Any]) -> None:
    assert_trains(
        TD3("SparseMlpPolicy", continuous(), device="cpu", policy_kwargs=dict(POLICY), **OFF_POLICY, **rhythm)
    )


@pytest.mark.parametrize("kind", [SAC, TD3])
def test_goals(kind: type) -> None:
    env = make_vec_env(lambda: BitFlippingEnv(n_bits=6, continuous=True, max_steps=6), 2, seed=0)
    model = kind(
        "SparseMultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, device="cpu", policy_kwargs=dict(POLICY),
        **OFF_POLICY,
    )  # fmt: skip
    assert_trains(model)


def test_shared_extractors_follow_in_every_optimizer() -> None:
    """TD3 trains a shared extractor with two optimizers, SAC with the actor's, to which only the actor's loss goes."""
    from stable_baselines3.common.torch_layers import NatureCNN

    for kind in (TD3, SAC):
        kwargs = {
            **POLICY,
            "share_features_extractor": True,
            "features_extractor_class": NatureCNN,
            "features_extractor_kwargs": {"features_dim": 16},
        }
        env = Sample(gym.spaces.Box(0, 255, (3, 36, 36), "uint8"), discrete=False)
        model = kind("SparseCnnPolicy", env, device="cpu", policy_kwargs=kwargs, **OFF_POLICY)
        assert model.actor.features_extractor is model.critic.features_extractor
        assert_trains(model, 60)
        online = sparse_layers(model.actor.features_extractor)
        target = sparse_layers(model.critic_target.features_extractor)
        for name, layer in online.items():
            assert layer.topology is target[name].topology
            for optimizer in (model.actor.optimizer, model.critic.optimizer):
                if layer.weight in optimizer.state:
                    assert optimizer.state[layer.weight]["exp_avg"].shape == layer.weight.shape
