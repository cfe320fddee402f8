"""Agents of Stable-Baselines3 over sequences of environments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from twins import counting

from sparse_agents import DSSAC, DSTD3
from sparse_agents.continual.agents.learner import AgentLearner, AgentTraining
from sparse_agents.continual.methods import METHODS, make_method
from sparse_agents.continual.records import read_records, score_matrix
from sparse_agents.continual.runner import SequenceRun
from sparse_agents.errors import ConfigurationError

STEPS = 48
OFF_POLICY = {"learning_starts": 16, "buffer_size": 200, "batch_size": 8}
SMALL: dict[type, dict[str, Any]] = {
    SAC: OFF_POLICY,
    TD3: OFF_POLICY,
    DSSAC: OFF_POLICY,
    DSTD3: OFF_POLICY,
    DQN: {**OFF_POLICY, "target_update_interval": 10, "train_freq": 1},
    PPO: {"n_steps": 16, "batch_size": 8, "n_epochs": 2},
}
REFUSED = {(PPO, "afaf"), (PPO, "er")}
"""Told before anything is trained: test_what_cannot_go_together_is_said_before_anything_is_trained."""
FOR_AGENTS = [name for name, kind in METHODS.items() if not kind.no_agents]
OPTIONS: dict[str, dict[str, Any]] = {"packnet": {"retrain_steps": 4}, "ewc": {"strength": 1.0}}
PENDULUMS = ("sparse_agents/Pendulum-gravity-10-v0", "sparse_agents/Pendulum-gravity-5-v0")
CARTPOLES = ("CartPole-v1", "CartPole-v0")


def build(
    folder: Path,
    name: str,
    algorithm: type,
    seed: int = 0,
    progress: Callable[[int], None] = lambda steps: None,
    **options: Any,
) -> SequenceRun:
    training = AgentTraining(
        algorithm,
        STEPS,
        policy_kwargs={"net_arch": [16, 16], "sparsity": 0.3, "distribution": "uniform"},
        hyperparams=SMALL[algorithm],
        own_heads=METHODS[name].needs_identity,
        episodes=1,
    )
    envs = CARTPOLES if algorithm is DQN else PENDULUMS
    given = {
        **OPTIONS.get(name, {}),
        **({"retrain_steps": 0} if (name, algorithm) == ("packnet", PPO) else {}),
        **options,
    }
    return SequenceRun(
        folder,
        lambda saved: AgentLearner(envs, training, seed, folder, saved),
        lambda learner: make_method(name, learner, 2, seed, **given),
        eval_every=16,
        save_every=16,
        progress=progress,
    )


def run(*args: Any, **kwargs: Any) -> SequenceRun:
    made = build(*args, **kwargs)
    made.run()
    return made


def weights(made: SequenceRun) -> dict[str, torch.Tensor]:
    assert isinstance(made.learner, AgentLearner)
    return {k: v for k, v in made.learner.model.policy.state_dict().items() if isinstance(v, torch.Tensor)}


class KilledError(Exception):
    """As if the process were killed."""


pytestmark = pytest.mark.filterwarnings("ignore:.*CartPole-v0 is out of date.*")


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        pytest.param(
            algorithm,
            name,
            marks=() if algorithm is SAC or name == "packnet" else SLOW,
            id=f"{algorithm.__name__}-{name}",
        )
        for algorithm in SMALL
        for name in FOR_AGENTS
        if (algorithm, name) not in REFUSED
    ],
)
def test_every_method_trains_every_algorithm(algorithm: type, name: str, tmp_path: Path) -> None:
    made = run(tmp_path, name, algorithm)
    table = read_records(tmp_path / "evaluations.csv")
    matrix = score_matrix(table, "known")
    assert matrix.shape == (3, 2)
    assert np.isfinite(matrix).all()
    assert made.learner.model.num_timesteps == 2 * STEPS
    for capacity in made.method.capacity().values():
        assert min(vars(capacity).values()) >= 0


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        pytest.param(algorithm, name, marks=() if (algorithm, name) == (DSSAC, "spacenet") else SLOW)
        for algorithm in (DSSAC, DSTD3)
        for name in FOR_AGENTS
    ],
)
def test_native_steps_do_what_stable_baselines3_does(
    algorithm: type, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a method changes before and after them; those at which connections move are Stable-Baselines3's."""
    with counting() as ran:
        native = run(tmp_path / "native", name, algorithm)
    trained = 2 * (STEPS - OFF_POLICY["learning_starts"])
    assert len(ran) > 0.7 * trained
    monkeypatch.setattr(algorithm, "train", {DSSAC: SAC, DSTD3: TD3}[algorithm].train)
    with counting() as ran:
        plain = run(tmp_path / "plain", name, algorithm)
    assert not ran
    for key, value in weights(plain).items():
        torch.testing.assert_close(weights(native)[key], value, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("at", [20, 48, 70])
@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        pytest.param(SAC, "packnet", id="SAC-packnet"),
        *(
            pytest.param(algorithm, name, marks=SLOW, id=f"{algorithm.__name__}-{name}")
            for algorithm, name in ((TD3, "spacenet"), (PPO, "si"), (DQN, "ewc"), (DSTD3, "finetune"))
        ),
    ],
)
def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(
    algorithm: type, name: str, at: int, tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", name, algorithm)
    seen: list[int] = []

    def kill(steps: int) -> None:
        seen.append(steps)
        if steps >= at:
            raise KilledError

    with pytest.raises(KilledError):
        run(tmp_path / "killed", name, algorithm, progress=kill)
    again = run(tmp_path / "killed", name, algorithm)
    expected = weights(whole)
    assert all(torch.equal(value, expected[key]) for key, value in weights(again).items())
    one, other = ((tmp_path / folder / "evaluations.csv").read_text() for folder in ("whole", "killed"))
    assert one == other


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        pytest.param(algorithm, name, marks=() if name == "packnet" else SLOW, id=f"{algorithm.__name__}-{name}")
        for algorithm in SMALL
        for name in FOR_AGENTS
        if METHODS[name].never_forgets and (algorithm, name) not in REFUSED
    ],
)
def test_zero_forgetting_is_exact(algorithm: type, name: str, tmp_path: Path) -> None:
    """What the agent does in the first task, with the same bits before, within and after the second."""
    remembered: list[np.ndarray] = []
    env = gym.make((CARTPOLES if algorithm is DQN else PENDULUMS)[0])
    observations = np.stack([env.observation_space.sample() for _ in range(20)]).clip(-3, 3)

    def act(made: SequenceRun) -> np.ndarray:
        assert isinstance(made.learner, AgentLearner)
        with made.method.view(0):
            policy: Any = made.learner.model.policy
            tensor = torch.as_tensor(observations, dtype=torch.float32)
            with torch.no_grad():
                if algorithm is DQN:
                    return policy.q_net(tensor).numpy()
                if algorithm is PPO:
                    return policy.get_distribution(tensor).mode().numpy()
                return policy.actor(tensor, **({"deterministic": True} if algorithm in (SAC, DSSAC) else {})).numpy()

    made: list[SequenceRun] = []

    def progress(steps: int) -> None:
        if steps > STEPS:
            remembered.append(act(made[0]))

    made.append(build(tmp_path, name, algorithm, progress=progress))
    made[0].run()
    remembered.append(act(made[0]))
    assert len(remembered) >= 4
    assert all(np.array_equal(one, remembered[0]) for one in remembered)


MANY = {"redo": {"redo_interval": 3, "redo_threshold": 0.8}, "cbp": {"cbp_rate": 0.05, "cbp_maturity": 2}}


@pytest.mark.parametrize("companion", MANY)
def test_companions_have_nothing_forgotten(companion: str, tmp_path: Path) -> None:
    """Units of an agent with output layers of every task's own feed those of earlier tasks, too."""
    observations = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    said: dict[int, list[torch.Tensor]] = {0: [], 1: []}

    def progress(steps: int) -> None:
        for task in range(made.method.task + int(made.method.finished)):
            with made.method.view(task), torch.no_grad():
                said[task].append(made.learner.model.policy.actor(observations, deterministic=True))

    made = build(tmp_path, "packnet", SAC, progress=progress, companion=companion, **MANY[companion])
    made.run()
    progress(2 * STEPS)
    assert len(said[0]) > 4
    assert all(torch.equal(one, rest[0]) for rest in said.values() for one in rest)


def test_joint_training_says_why_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'joint' cannot train agents: an agent acts in one environment"):
        run(tmp_path, "joint", SAC)


@pytest.mark.parametrize("name", ["spacenet", "static", "afaf"])
def test_tasks_with_connections_of_their_own_need_sparse_outputs(name: str, tmp_path: Path) -> None:
    training = AgentTraining(DSTD3, STEPS, {"net_arch": [8, 8], "sparsity": 0.3, "dense_output": True}, OFF_POLICY)
    learner = AgentLearner(PENDULUMS, training, 0, tmp_path, None)
    with pytest.raises(ConfigurationError, match="Network 'actor' has no sparse output layer"):
        make_method(name, learner, 2, 0)


def test_environments_need_the_same_spaces(tmp_path: Path) -> None:
    training = AgentTraining(SAC, STEPS, hyperparams=OFF_POLICY)
    with pytest.raises(ConfigurationError, match="different spaces"):
        AgentLearner(("Pendulum-v1", "MountainCarContinuous-v0"), training, 0, tmp_path, None)


@pytest.mark.parametrize(
    ("algorithm", "name", "says"),
    [
        (PPO, "packnet", "PPO keeps no experience once it is used: retrain_steps:0 leaves out"),
        (PPO, "er", "PPO keeps no experience once it is used: nothing of earlier tasks can be replayed"),
        (A2C, "ewc", "Fisher information of A2C"),
        (PPO, "afaf", "What the units of SparsePPOPolicy do cannot be told"),
    ],
)
def test_what_cannot_go_together_is_said_before_anything_is_trained(
    algorithm: type, name: str, says: str, tmp_path: Path
) -> None:
    learner = AgentLearner(PENDULUMS, AgentTraining(algorithm, STEPS, {"net_arch": [8, 8]}), 0, tmp_path, None)
    with pytest.raises(ConfigurationError, match=says):
        make_method(name, learner, 2, 0)


def test_warm_up_leaves_something_to_learn_in(tmp_path: Path) -> None:
    learner = AgentLearner(PENDULUMS, AgentTraining(DSTD3, 500, {"net_arch": [8], "sparsity": 0.3}), 0, tmp_path, None)
    assert learner.model.learning_starts == 50
    with pytest.raises(ConfigurationError, match="learning_starts=500: every task begins with so many random steps"):
        AgentLearner(PENDULUMS, AgentTraining(SAC, 500, {}, {"learning_starts": 500}), 0, tmp_path, None)


@pytest.mark.parametrize(
    ("algorithm", "settings", "networks", "says"),
    [
        (SAC, {"foo": 1}, ("actor",), "SAC does not take these settings: .*foo"),
        (SAC, {"seed": 1}, ("actor",), "SAC does not take these settings: .*seed"),
        (SAC, {"learning_rate": -1.0}, ("actor",), "SAC does not take these settings: Invalid learning rate"),
        (SAC, {}, ("actor", "critc"), "Unknown network 'critc'. Did you mean 'critic'"),
        (SAC, {}, (), "Nothing to look after: the policy has actor, critic"),
        (DSTD3, {"target_topology": "capped"}, ("actor",), "Target networks with connections of their own"),
    ],
)
def test_bad_settings(
    algorithm: type, settings: dict[str, Any], networks: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    training = AgentTraining(algorithm, 500, {"net_arch": [8], "sparsity": 0.3}, settings, networks)
    with pytest.raises(ConfigurationError, match=says):
        AgentLearner(PENDULUMS, training, 0, tmp_path, None)


@pytest.mark.parametrize("name", ["wsn", "packnet", "finetune"])
def test_critics_are_looked_after_too(name: str, tmp_path: Path) -> None:
    training = AgentTraining(DSSAC, STEPS, {"net_arch": [8, 8], "sparsity": 0.3}, OFF_POLICY, ("actor", "critic"))
    learner = AgentLearner(PENDULUMS, training, 0, tmp_path, None)
    assert list(learner.networks) == ["actor", "critic", "critic_2"]
    make_method(name, learner, 2, 0)


def test_the_buffer_is_the_tasks_own_unless_the_method_keeps_experience(tmp_path: Path) -> None:
    for name, size in (("finetune", STEPS), ("er", 2 * STEPS)):
        learner = run(tmp_path / name, name, SAC).learner
        assert isinstance(learner, AgentLearner)
        assert learner.model.replay_buffer.pos == size


def test_every_task_begins_with_random_steps(tmp_path: Path) -> None:
    learner = run(tmp_path, "finetune", SAC).learner
    assert isinstance(learner, AgentLearner)
    assert learner.model.learning_starts == STEPS + 16
    assert learner.updates(learner.networks["actor"]) == STEPS - 16


class Says(gym.Wrapper):
    """As an episode ends, whether it was a success."""

    def __init__(self, env: gym.Env, success: bool) -> None:
        super().__init__(env)
        self._success = success

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "is_success": self._success}


def test_scores_are_successes_where_an_environment_says_them(tmp_path: Path) -> None:
    ids = []
    for success in (True, False):
        ids.append(f"CartPole-{success}-v0")
        gym.register(ids[-1], entry_point=lambda success=success: Says(gym.make("CartPole-v1"), success))
    training = AgentTraining(DQN, STEPS, {"net_arch": [8]}, SMALL[DQN], episodes=3)
    learner = AgentLearner((*ids, "CartPole-v1"), training, 0, tmp_path, None)
    method = make_method("finetune", learner, 3, 0)
    method.prepare()
    scores = learner.scores(method)["known"]
    assert scores[:2] == [1.0, 0.0]
    assert scores[2] > 1
    for name in ids:
        del gym.registry[name]
