"""The residual extractor, dense by hand and sparse under several algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, SAC
from torch.nn import functional as F

from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import dense_layers, sparse_layers
from sparse_agents.policies import SimBaExtractor

VECTOR = spaces.Box(-1, 1, (5,), np.float32)


def test_one_block_by_hand() -> None:
    torch.manual_seed(0)
    extractor = SimBaExtractor(VECTOR, width=8, blocks=1)
    state = extractor.state_dict()
    x = torch.randn(3, 5)
    z = F.linear(x, state["layers.1.weight"], state["layers.1.bias"])
    h = F.layer_norm(z, (8,))
    h = F.linear(h, state["layers.2.inside.1.weight"], state["layers.2.inside.1.bias"]).clamp(min=0)
    z = z + F.linear(h, state["layers.2.inside.3.weight"], state["layers.2.inside.3.bias"])
    assert torch.allclose(extractor(x), F.layer_norm(z, (8,)), atol=1e-6)
    assert extractor.features_dim == 8
    assert state["layers.2.inside.1.weight"].shape == (32, 8)


def test_initial_weights_are_the_papers() -> None:
    """Orthogonal in front, He's inside, whose variance is 2 over the number of inputs."""
    torch.manual_seed(0)
    state = SimBaExtractor(VECTOR, width=256, blocks=1).state_dict()
    embedding = state["layers.1.weight"]
    assert torch.allclose(embedding.t() @ embedding, torch.eye(5), atol=1e-5)
    assert float(state["layers.2.inside.1.weight"].var()) == pytest.approx(2 / 256, rel=0.05)
    assert float(state["layers.2.inside.3.weight"].var()) == pytest.approx(2 / 1024, rel=0.05)
    assert not any(value.any() for name, value in state.items() if name.endswith("bias"))


@pytest.mark.parametrize("algorithm", [SAC, PPO, DQN])
def test_sparse_in_an_agent(algorithm: Any, tmp_path: Path) -> None:
    kwargs = {
        "sparsity": 0.8,
        "topology_kwargs": {"update_interval": 5, "drop_fraction": 0.3},
        "features_extractor_class": SimBaExtractor,
        "features_extractor_kwargs": {"width": 16, "blocks": 2},
        "net_arch": {"pi": [], "qf": [16]} if algorithm is SAC else [],
    }
    off_policy = {"learning_starts": 10, "buffer_size": 100} if algorithm is not PPO else {"n_steps": 32}
    env = "CartPole-v1" if algorithm is DQN else "Pendulum-v1"
    model = algorithm("SparseMlpPolicy", env, policy_kwargs=kwargs, batch_size=16, seed=0, device="cpu", **off_policy)
    before = {name: layer.topology.edges for name, layer in sparse_layers(model.policy).items()}
    assert not dense_layers(model.policy)
    model.learn(120)
    for part in model.policy.parts():
        present, dense = part.weights()
        assert present == round(0.2 * dense)
    inside = [name for name in before if ".inside." in name and "target" not in name]
    assert len(inside) >= 4
    layers = sparse_layers(model.policy)
    assert any(not layers[name].topology.edges.same_as(before[name]) for name in inside)
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", device="cpu")
    observation = model.observation_space.sample()
    assert np.array_equal(
        loaded.predict(observation, deterministic=True)[0], model.predict(observation, deterministic=True)[0]
    )


@pytest.mark.parametrize(
    ("space", "options", "says"),
    [
        (spaces.Dict(a=VECTOR), {}, "observations that are vectors"),
        (VECTOR, {"width": 0}, "width=0"),
        (VECTOR, {"blocks": 0}, "blocks=0"),
        (VECTOR, {"width": 8.5}, "width=8.5: a whole number"),
        (VECTOR, {"blocks": "2"}, "blocks='2': a whole number"),
        (spaces.Box(-1, 1, (), np.float32), {}, "observations that are vectors"),
        (spaces.Box(0, 255, (3, 8, 8), np.uint8), {}, "observations that are vectors"),
    ],
)
def test_mistakes_are_named(space: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        SimBaExtractor(space, **options)
