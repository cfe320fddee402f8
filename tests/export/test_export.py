"""What is exported acts as ``predict`` does."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnx
import onnxruntime
import pytest
import sb3_contrib
import scipy.sparse
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from safetensors import safe_open
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sparse_agents import DSSAC, DSTD3
from sparse_agents.errors import ConfigurationError
from sparse_agents.export import acting_of, write_c, write_onnx, write_tensors
from sparse_agents.nn import sparse_layers

SIZES: dict[str, Any] = {"net_arch": [24, 24], "sparsity": 0.8}
CC = shutil.which("cc")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "-shared", "-fPIC"]


class Still(gym.Env[Any, Any]):
    """Spaces, and nothing in them."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, False, False, {}


VECTORS = spaces.Box(-3, 3, (2, 3))
BOUNDED = spaces.Box(np.array([-2.0, 0.5, -1.0], np.float32), np.array([1.0, 3.0, 4.0], np.float32))
WIDE = spaces.Box(-1e4, 1e4, (2,))
FOUR, SEVERAL, BITS = spaces.Discrete(4), spaces.MultiDiscrete([3, 2, 5]), spaces.MultiBinary(3)
IMAGES = spaces.Box(0, 255, (1, 36, 36), np.uint8)


def agent(
    kind: type[BaseAlgorithm], actions: spaces.Space[Any], observations: spaces.Space[Any] = VECTORS,
    policy: str = "SparseMlpPolicy", **settings: Any,
) -> BaseAlgorithm:  # fmt: skip
    """Not trained, with weights large enough for every action to occur."""
    env = DummyVecEnv([lambda: Still(observations, actions)])
    kwargs = {**SIZES, **settings.pop("policy_kwargs", {})} if policy.startswith("Sparse") else {"net_arch": [24]}
    model: Any = kind(policy, env, seed=0, device="cpu", policy_kwargs=kwargs, **settings)  # type: ignore[call-arg]
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.4)
    return model  # type: ignore[no-any-return]


CASES: dict[str, Callable[[], BaseAlgorithm]] = {
    "TD3": lambda: agent(TD3, BOUNDED),
    "DS-TD3": lambda: agent(DSTD3, BOUNDED),
    "DDPG": lambda: agent(DDPG, BOUNDED),
    "SAC": lambda: agent(SAC, BOUNDED),
    "SAC with gSDE": lambda: agent(SAC, BOUNDED, use_sde=True, policy_kwargs={"clip_mean": 0.0}),
    "DS-SAC": lambda: agent(DSSAC, BOUNDED),
    "TQC": lambda: agent(sb3_contrib.TQC, BOUNDED),
    "PPO": lambda: agent(PPO, BOUNDED),
    "PPO, wide": lambda: agent(PPO, WIDE),
    "PPO, discrete": lambda: agent(PPO, FOUR),
    "A2C, several": lambda: agent(A2C, SEVERAL),
    "PPO, bits": lambda: agent(PPO, BITS),
    "PPO, squashed": lambda: agent(PPO, BOUNDED, use_sde=True, policy_kwargs={"squash_output": True}),
    "TRPO": lambda: agent(sb3_contrib.TRPO, BOUNDED),
    "MaskablePPO": lambda: agent(sb3_contrib.MaskablePPO, FOUR),
    "DQN": lambda: agent(DQN, FOUR),
    "QR-DQN": lambda: agent(sb3_contrib.QRDQN, FOUR, policy_kwargs={"n_quantiles": 7}),
    "ARS": lambda: agent(sb3_contrib.ARS, BOUNDED),
    "dense": lambda: agent(PPO, FOUR, policy="MlpPolicy"),
    "all connections": lambda: agent(TD3, BOUNDED, policy_kwargs={"sparsity": 0.0}),
    "nearly none": lambda: agent(TD3, BOUNDED, policy_kwargs={"sparsity": 0.99}),
    "bits in": lambda: agent(PPO, BOUNDED, spaces.MultiBinary(5)),
    "activations": lambda: agent(TD3, BOUNDED, policy_kwargs={"activation_fn": torch.nn.ELU}),
    "normalised": lambda: agent(TD3, BOUNDED, policy_kwargs={"layer_norm": ["actor"]}),
    "normalised, a head for each": lambda: agent(SAC, BOUNDED, policy_kwargs={"layer_norm": ["actor", "critic"]}),
    "leaky": lambda: agent(TD3, BOUNDED, policy_kwargs={"activation_fn": torch.nn.LeakyReLU}),
    "SiLU": lambda: agent(TD3, BOUNDED, policy_kwargs={"activation_fn": torch.nn.SiLU}),
    "sigmoid": lambda: agent(TD3, BOUNDED, policy_kwargs={"activation_fn": torch.nn.Sigmoid}),
}
BEYOND_C: dict[str, Callable[[], BaseAlgorithm]] = {
    "CrossQ": lambda: agent(sb3_contrib.CrossQ, BOUNDED),
    "images": lambda: agent(PPO, FOUR, IMAGES, "SparseCnnPolicy"),
}

EXPORTED_FAST = ("SAC", "PPO, discrete", "QR-DQN", "images")
"""By torch's exporter, which takes a second."""


def observations_of(model: BaseAlgorithm, count: int = 64) -> NDArray[Any]:
    space = model.observation_space
    space.seed(0)
    return np.stack([space.sample() for _ in range(count)])


def compiled(folder: Path, name: str) -> Any:
    """The exported function, of a whole batch."""
    assert CC is not None
    library = folder / f"{name}.so"
    subprocess.run([CC, *STRICT, str(folder / f"{name}.c"), "-o", str(library), "-lm"], check=True)
    return getattr(ctypes.CDLL(str(library)), f"{name}_act")


def acted(function: Any, model: BaseAlgorithm, observations: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    kind = np.float32 if isinstance(model.action_space, spaces.Box) else np.int32
    found = []
    for observation in observations.astype(np.float32):
        action = np.full(like.shape[1:] or (1,), 77, kind)
        function(observation.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p))
        found.append(action.reshape(like.shape[1:]))
    return np.stack(found)


def same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
    assert len(np.unique(expected)) > 1  # not the same action whatever is seen


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case in EXPORTED_FAST else pytest.mark.slow) for case in (*CASES, *BEYOND_C)],
)
def test_onnxruntime_acts_as_predict_does(case: str, tmp_path: Path) -> None:
    model = {**CASES, **BEYOND_C}[case]()
    seen = observations_of(model)
    expected, _ = model.predict(seen, deterministic=True)
    write_onnx(acting_of(model), tmp_path / "agent.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "agent.onnx")
    given = seen if seen.dtype == np.uint8 and seen.ndim > 2 else seen.astype(np.float32)
    for rows in (1, len(seen)):
        (found,) = session.run(None, {"observation": given[:rows]})
        np.testing.assert_allclose(found, expected[:rows], rtol=1e-5, atol=2e-5)
    same(found, expected)


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
@pytest.mark.parametrize("case", CASES)
def test_c_acts_as_predict_does(case: str, tmp_path: Path) -> None:
    model = CASES[case]()
    seen = observations_of(model)
    expected, _ = model.predict(seen, deterministic=True)
    write_c(acting_of(model), tmp_path, "agent")
    same(acted(compiled(tmp_path, "agent"), model, seen, expected), expected)


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
def test_observations_are_normalised_within(tmp_path: Path) -> None:
    env = VecNormalize(DummyVecEnv([lambda: Still(VECTORS, BOUNDED)]), clip_obs=1.5)
    env.obs_rms.mean, env.obs_rms.var = np.full((2, 3), 0.7), np.full((2, 3), 0.3)
    model = TD3("SparseMlpPolicy", env, seed=0, policy_kwargs={**SIZES, "weight_init": "inherit"})
    seen = observations_of(model)
    expected, _ = model.predict(env.normalize_obs(seen), deterministic=True)
    acting = acting_of(model, env)
    write_c(acting, tmp_path, "mine")
    write_onnx(acting, tmp_path / "mine.onnx")
    same(acted(compiled(tmp_path, "mine"), model, seen, expected), expected)
    (found,) = onnxruntime.InferenceSession(tmp_path / "mine.onnx").run(None, {"observation": seen})
    same(found, expected)


def test_files_are_as_large_as_the_connections_are_many(tmp_path: Path) -> None:
    sizes = {}
    for sparsity in (0.0, 0.95):
        model = agent(TD3, BOUNDED, policy_kwargs={"net_arch": [256, 256], "sparsity": sparsity})
        write_onnx(acting_of(model), tmp_path / "agent.onnx")
        write_c(acting_of(model), tmp_path)
        sizes[sparsity] = [(tmp_path / name).stat().st_size for name in ("agent.onnx", "agent.c")]
    assert all(sparse < 0.25 * dense for sparse, dense in zip(sizes[0.95], sizes[0.0], strict=True))
    graph = onnx.load(tmp_path / "agent.onnx").graph
    assert len(graph.sparse_initializer) == 1  # of the others every third is there


def test_safetensors_hold_the_rows_of_scipy(tmp_path: Path) -> None:
    model = agent(DSTD3, BOUNDED)
    write_tensors(model, tmp_path / "agent.safetensors")
    with safe_open(tmp_path / "agent.safetensors", "pt") as file:
        layer = sparse_layers(model.policy)["actor.mu.2"]
        parts = [file.get_tensor(f"actor.mu.2.{name}") for name in ("weight", "topology.col", "topology.row_ptr")]
        matrix = scipy.sparse.csr_matrix(tuple(part.numpy() for part in parts), shape=layer.topology.shape)
        np.testing.assert_array_equal(matrix.toarray(), layer.to_dense().weight.detach().numpy())
        assert json.loads(file.metadata()["agent"])["algorithm"] == "DSTD3"


def test_an_agent_is_left_alone() -> None:
    model = agent(TD3, BOUNDED)
    acting = acting_of(model)
    with torch.no_grad():
        acting.stages[1][0].weight.zero_()
    assert all(parameter.requires_grad for parameter in model.policy.actor.parameters())
    assert model.policy.actor.mu[0].weight.any()


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    recurrent = agent(sb3_contrib.RecurrentPPO, FOUR, policy="SparseMlpLstmPolicy")
    with pytest.raises(ConfigurationError, match="RecurrentPPO cannot be exported"):
        acting_of(recurrent)
    with pytest.raises(ConfigurationError, match="a Box or MultiBinary can"):
        acting_of(agent(PPO, FOUR, spaces.Discrete(3)))
    for case in BEYOND_C:
        with pytest.raises(ConfigurationError, match="--format onnx takes it"):
            write_c(acting_of(BEYOND_C[case]()), tmp_path)
    with pytest.raises(ConfigurationError, match="letters, digits and underscores"):
        write_c(acting_of(agent(TD3, BOUNDED)), tmp_path, "my agent")
    assert not list(tmp_path.iterdir())
