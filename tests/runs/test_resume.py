"""A resumed run is the run that was never stopped, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.envs import BitFlippingEnv
from stable_baselines3.common.logger import HumanOutputFormat, Image, KVWriter, Logger
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sparse_agents import DSTD3, SparsityCallback
from sparse_agents.nn import sparse_layers
from sparse_agents.runs import (
    CheckpointEvery,
    Continue,
    RunFolder,
    checkpoint,
    episodes_written,
    evaluation,
    goes_back,
    make_env,
)
from sparse_agents.runs.run_state import restore_run, run_state

contrib = pytest.importorskip("sb3_contrib")
SPARSE = {
    "net_arch": [16, 16],
    "sparsity": 0.7,
    "topology": "rigl",
    "topology_kwargs": {"update_interval": 7, "drop_fraction": 0.3},
}
OFF_POLICY: dict[str, Any] = {"buffer_size": 400, "batch_size": 16, "learning_starts": 20}


def normalised(env_id: str, **kwargs: Any) -> VecEnv:
    return VecNormalize(make_env(env_id, 0, **kwargs))


gym.register("Goals-v0", BitFlippingEnv, kwargs={"n_bits": 6, "continuous": True, "max_steps": 6})

CASES: dict[str, tuple[type[BaseAlgorithm], str, int, dict[str, Any], Callable[..., VecEnv] | None]] = {
    "td3": (TD3, "HalfCheetah-v5", 1, OFF_POLICY, None),
    "td3, noise with memory": (TD3, "Pendulum-v1", 1, {**OFF_POLICY, "action_noise": "ou"}, None),
    "td3, four environments, three-step returns": (
        TD3, "Pendulum-v1", 4, {**OFF_POLICY, "n_steps": 3, "gradient_steps": -1}, None,
    ),
    "ds_td3": (DSTD3, "Ant-v5", 1, OFF_POLICY, None),
    "ds_td3, capped": (DSTD3, "Hopper-v5", 1, {**OFF_POLICY, "target_topology": "capped"}, None),
    "sac, gSDE": (SAC, "Pendulum-v1", 1, {**OFF_POLICY, "use_sde": True, "sde_sample_freq": 5}, None),
    "sac, normalised": (SAC, "Walker2d-v5", 2, OFF_POLICY, normalised),
    "sac, HER": (SAC, "Goals-v0", 2, {**OFF_POLICY, "replay_buffer_class": HerReplayBuffer}, None),
    "dqn": (DQN, "CartPole-v1", 1, {**OFF_POLICY, "target_update_interval": 30}, None),
    "ppo": (PPO, "Hopper-v5", 2, {"n_steps": 16, "batch_size": 8, "n_epochs": 3}, None),
    "ppo, gSDE, normalised": (
        PPO, "Pendulum-v1", 2, {"n_steps": 16, "batch_size": 8, "n_epochs": 2, "use_sde": True}, normalised,
    ),
    "a2c, subprocesses": (A2C, "CartPole-v1", 2, {"n_steps": 4}, lambda e, **k: make_env(e, 0, vec_env="subproc", **k)),
    "tqc": (contrib.TQC, "Pendulum-v1", 1, OFF_POLICY, None),
    "crossq": (contrib.CrossQ, "Pendulum-v1", 1, OFF_POLICY, None),
    "qrdqn": (contrib.QRDQN, "CartPole-v1", 1, OFF_POLICY, None),
    "recurrent ppo": (contrib.RecurrentPPO, "Pendulum-v1", 1, {"n_steps": 16, "batch_size": 8, "n_epochs": 2}, None),
    "trpo": (contrib.TRPO, "Pendulum-v1", 1, {"n_steps": 16, "batch_size": 8}, None),
}  # fmt: skip
ALIASES = {"recurrent ppo": "SparseMlpLstmPolicy", "sac, HER": "SparseMultiInputPolicy"}

STEPS = 160


def environments(case: str) -> VecEnv:
    _algorithm, env_id, n_envs, _settings, factory = CASES[case]
    return make_env(env_id, 0, n_envs=n_envs) if factory is None else factory(env_id, n_envs=n_envs)


def new_agent(case: str) -> BaseAlgorithm:
    algorithm, _env_id, _n_envs, settings, _factory = CASES[case]
    env = environments(case)
    settings = dict(settings)
    if settings.get("action_noise") == "ou":
        settings["action_noise"] = OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1))
    policy = {k: v for k, v in SPARSE.items() if case != "trpo" or "topology" not in k}
    if case == "recurrent ppo":
        policy["lstm_hidden_size"] = 8
    alias = ALIASES.get(case, "SparseMlpPolicy")
    return algorithm(alias, env, seed=3, device="cpu", policy_kwargs=policy, **settings)


def learn(model: BaseAlgorithm, folder: Path, state: dict[str, Any] | None, case: str) -> Any:
    """To ``STEPS`` steps, with the callbacks of the command line."""
    model.set_logger(Logger(folder=None, output_formats=[]))
    env_id = CASES[case][1]
    eval_env = make_env(env_id, 9, vec_env="subproc" if "subprocesses" in case else "dummy")
    if isinstance(model.get_env(), VecNormalize):
        eval_env = VecNormalize(eval_env, training=False, norm_reward=False)
    seeding, assessing = evaluation(RunFolder(folder, env_id), model, eval_env, 9, 40, 1)
    callbacks = [SparsityCallback(log_every=50), seeding, assessing]
    restore = [] if state is None else [Continue(state, callbacks)]
    saving = CheckpointEvery(folder, 90, callbacks)
    left = STEPS - model.num_timesteps
    model.learn(left, callback=[*restore, *callbacks, saving], reset_num_timesteps=False)
    return assessing


def everything(model: Any) -> dict[str, Any]:
    found = {f"policy/{k}": v for k, v in model.policy.state_dict().items() if torch.is_tensor(v)}
    for name, state in model.get_parameters().items():
        if name != "policy":
            for index, entry in state["state"].items():
                found |= {f"{name}/{index}/{k}": v for k, v in entry.items() if torch.is_tensor(v)}
    for name, layer in sparse_layers(model.policy).items():
        found[f"{name}/edges"] = layer.topology.edges.ids
    buffer = vars(model).get("replay_buffer")
    if buffer is not None:
        found |= {f"buffer/{n}": torch.from_numpy(getattr(buffer, n)) for n in ("actions", "rewards")}
    if model.get_vec_normalize_env() is not None:
        found["normalised/mean"] = torch.from_numpy(model.get_vec_normalize_env().obs_rms.mean)
        found["normalised/returns"] = torch.from_numpy(model.get_vec_normalize_env().returns)
    found["draws"] = torch.tensor([torch.rand(1).item(), np.random.rand(), random.random()])  # noqa: NPY002
    found["steps"] = torch.tensor([model.num_timesteps, model._episode_num])
    return found


@pytest.mark.parametrize("case", CASES)
def test_resumed_is_never_stopped(case: str, tmp_path: Path) -> None:
    model = new_agent(case)
    assessed = learn(model, tmp_path, None, case)
    expected = everything(model)
    first = min(tmp_path.glob("step_*"), key=lambda p: int(p.name.removeprefix("step_")))
    middle = int(first.name.removeprefix("step_"))
    assert 90 <= middle < STEPS

    torch.manual_seed(123)
    np.random.seed(5)  # noqa: NPY002
    env = environments(case)
    env.seed(77)
    env.reset()
    resumed, state = checkpoint.load(first, CASES[case][0], env)
    assert resumed.num_timesteps == middle
    again = learn(resumed, tmp_path / "again", state, case)
    found = everything(resumed)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert again.evaluations_timesteps == assessed.evaluations_timesteps
    assert again.evaluations_results == assessed.evaluations_results
    assert again.best_mean_reward == assessed.best_mean_reward


def test_ars_goes_on_from_its_weights(tmp_path: Path) -> None:
    """It draws candidates before anybody can put the generators back, so they are other ones."""
    model = contrib.ARS("SparseMlpPolicy", make_env("CartPole-v1", 0), n_delta=2, seed=0, device="cpu")
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(200)
    path = checkpoint.save(model, tmp_path)
    resumed, state = checkpoint.load(path, contrib.ARS, make_env("CartPole-v1", 0))
    assert torch.equal(resumed.weights, model.weights)
    resumed.set_logger(Logger(folder=None, output_formats=[]))
    resumed.learn(200, callback=Continue(state, []), reset_num_timesteps=False)
    assert resumed.num_timesteps > model.num_timesteps


class Recording(KVWriter):
    """Keeps what was logged at each step."""

    def __init__(self) -> None:
        self.written: dict[int, dict[str, Any]] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.written[step] = {k: v for k, v in key_values.items() if not k.startswith("time/")}

    def close(self) -> None:
        """Nothing is open."""


def test_what_was_recorded_and_not_yet_logged_is_not_lost(tmp_path: Path) -> None:
    """PPO records its losses after a rollout, and logs them after the next one."""

    def logged(model: PPO, timesteps: int, callback: Any) -> dict[int, dict[str, Any]]:
        output = Recording()
        model.set_logger(Logger(folder=None, output_formats=[output]))
        model.learn(timesteps, callback=callback, reset_num_timesteps=False)
        return {step: values for step, values in output.written.items() if step > 64}

    settings: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "seed": 0, "device": "cpu"}
    model = PPO("SparseMlpPolicy", make_env("Pendulum-v1", 0), **settings)
    expected = logged(model, 128, CheckpointEvery(tmp_path, 64))
    resumed, state = checkpoint.load(tmp_path / "step_64", PPO, make_env("Pendulum-v1", 1))
    found = logged(resumed, 64, Continue(state, []))
    assert "train/loss" in expected[96]
    assert found == expected


def test_pictures_and_histograms_that_are_not_logged_yet_are_left_out_whole(tmp_path: Path) -> None:
    """With what is known of where they go: an output that goes through both side by side needs them alike."""
    model = PPO("SparseMlpPolicy", make_env("Pendulum-v1", 0), n_steps=32, batch_size=32, device="cpu")
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(32)
    model.logger.record("number", 1.5)
    model.logger.record_mean("mean", 2.5)
    model.logger.record("histogram", torch.ones(3), exclude="tensorboard")
    model.logger.record("picture", Image(np.zeros((2, 2), np.uint8), "HW"), exclude="tensorboard")
    state = run_state(model, [])
    assert all({"histogram", "picture"}.isdisjoint(kept) for kept in state["recorded"].values())
    model.set_logger(Logger(folder=None, output_formats=[HumanOutputFormat(str(tmp_path / "again.txt"))]))
    restore_run(model, [], state)
    model.logger.dump(1)
    model.logger.close()
    assert all(word in (tmp_path / "again.txt").read_text() for word in ("number", "1.5", "mean", "2.5"))


class OutOfReach(gym.Wrapper):
    """Holds something that cannot be saved, as a simulator in another process would be."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.simulator = (number for number in range(3))


gym.register("OutOfReach-v0", lambda **kwargs: OutOfReach(gym.make("Pendulum-v1", **kwargs)), max_episode_steps=40)


def test_statistics_go_on_where_environments_cannot(tmp_path: Path) -> None:
    def agent() -> PPO:
        return PPO("SparseMlpPolicy", normalised("OutOfReach-v0"), n_steps=32, batch_size=16, seed=0, device="cpu")

    model = agent()
    model.learn(64)
    path = checkpoint.save(model, tmp_path)
    assert isinstance(model.env, VecNormalize)
    count = model.env.obs_rms.count
    resumed, state = checkpoint.load(path, PPO, normalised("OutOfReach-v0"))
    assert None in state["environment"]["environments"]
    resumed.learn(32, callback=Continue(state, []), reset_num_timesteps=False)
    assert isinstance(resumed.env, VecNormalize)
    assert resumed.env.obs_rms.count == count + 32


@pytest.mark.parametrize("kind", ["plain", "three-step returns", "successors not stored", "HER"])
def test_new_episodes_do_not_follow_old_ones(kind: str, tmp_path: Path) -> None:
    """The buffer ends the episode that cannot go on, in later checkpoints too; monitors go on counting."""
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "three-step returns": {"n_steps": 3},
        "successors not stored": {
            "optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False},
        },
        "HER": {"replay_buffer_class": HerReplayBuffer},
    }  # fmt: skip
    env_id = "FarGoals-v0" if kind == "HER" else "OutOfReach-v0"
    policy = "SparseMultiInputPolicy" if kind == "HER" else "SparseMlpPolicy"
    folder = RunFolder(tmp_path, env_id)

    def environment(again: bool) -> VecEnv:
        return make_env(env_id, 0, str(tmp_path), again)

    model = SAC(policy, environment(False), seed=0, device="cpu", **{**OFF_POLICY, **options[kind]})
    model.learn(100)
    path, written = tmp_path / "0.monitor.csv", []
    for steps in (100, 150, 200):
        written.append(path.read_text())
        saved = checkpoint.save(model, folder.checkpoints)
        path.write_text(path.read_text() + "1,2,3\n")  # by a process that is killed later
        model.env.close()
        model, state = checkpoint.load(saved, SAC, environment(True))
        assert model.num_timesteps == steps
        assert not goes_back(state["environment"])
        folder.trim_monitors(episodes_written(state["environment"]))
        assert path.read_text() == written[-1]
        buffer = model.replay_buffer
        assert buffer is not None
        ends = buffer.dones[:steps, 0] + buffer.timeouts[:steps, 0]
        assert ends[99]
        assert ends[steps - 1]
        if kind == "HER":
            assert (buffer.ep_length[:steps] > 0).all()
        model.learn(50, callback=Continue(state, []), reset_num_timesteps=False)
    model.env.close()
    assert len(written[-1].splitlines()) > len(written[0].splitlines())


gym.register(
    "FarGoals-v0",
    lambda **kwargs: OutOfReach(BitFlippingEnv(n_bits=6, continuous=True, max_steps=8, **kwargs)),
)


def test_out_of_reach_environments_are_saved_between_episodes(tmp_path: Path) -> None:
    CASES["out of reach"] = (TD3, "OutOfReach-v0", 1, OFF_POLICY, None)
    try:
        test_resumed_is_never_stopped("out of reach", tmp_path)
        assert min(int(p.name.removeprefix("step_")) for p in tmp_path.glob("step_*")) == 120
    finally:
        del CASES["out of reach"]
