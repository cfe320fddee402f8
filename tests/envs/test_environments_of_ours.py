"""Every environment that is registered, and what its docstring promises."""

from __future__ import annotations

import sys

import gymnasium as gym
import minatar
import numpy as np
import pytest
import sparse_agents.envs
from gymnasium.utils.env_checker import check_env
from sparse_agents.envs.half_cheetah import HalfCheetahVariant
from sparse_agents.envs.noisy_features import NoisyFeatures
from sparse_agents.envs.tasks import GAMES, SEQUENCES, VARIANTS

REGISTERED = {name for name in gym.registry if name.startswith("sparse_agents/")}
IDS = sorted(REGISTERED - set(SEQUENCES["cw10"]))  # these need a package that wants an environment of its own


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # on habits, of Gymnasium's own too; what is wrong is an error
def test_gymnasium_finds_nothing_wrong(env_id: str) -> None:
    check_env(gym.make(env_id).unwrapped, skip_render_check=True)


def test_sequences_are_of_environments_that_exist() -> None:
    assert {env_id for sequence in SEQUENCES.values() for env_id in sequence} <= REGISTERED
    for sequence in SEQUENCES.values():
        made = [gym.make(env_id) for env_id in set(sequence) if env_id in IDS]
        spaces = [(env.observation_space, env.action_space) for env in made]
        assert all(one == spaces[0] for one in spaces)


@pytest.mark.parametrize("game", GAMES)
def test_a_game_of_minatar_is_that_of_the_package(game: str) -> None:
    """The same numbers drawn, the same game; channels that it does not know stay empty."""
    env = gym.make(f"sparse_agents/MinAtar-{game}-v0").unwrapped
    theirs = minatar.Environment(game)
    observation, _ = env.reset(seed=5)
    theirs.seed(int(np.random.Generator(np.random.PCG64(5)).integers(2**31)))
    theirs.reset()
    channels = theirs.n_channels
    actions = np.random.default_rng(1)
    for _ in range(200):
        seen = observation.reshape(10, 10, 10)
        assert np.array_equal(seen[:, :, :channels], theirs.state())
        assert not seen[:, :, channels:].any()
        action = actions.integers(6)
        observation, reward, over, _, _ = env.step(action)
        assert (reward, over) == theirs.act(int(action))
        if over:
            break


def test_without_the_package_a_game_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"pip install sparse-agents\[minatar\]"):
        gym.make("sparse_agents/MinAtar-breakout-v0")


def ends(env: gym.Env, actions: np.ndarray) -> tuple[np.ndarray, float]:
    env.reset(seed=3)
    total = 0.0
    for action in actions:
        observation, reward, *_ = env.step(action)
        total += float(reward)
    return observation, total


ACTIONS = np.random.default_rng(0).uniform(-1, 1, (50, 6)).astype(np.float32)


def test_the_normal_cheetah_is_gymnasiums() -> None:
    ours, theirs = (
        ends(gym.make("sparse_agents/HalfCheetah-normal-v0"), ACTIONS),
        ends(gym.make("HalfCheetah-v5"), ACTIONS),
    )
    assert np.array_equal(ours[0], theirs[0])
    assert ours[1] == theirs[1]


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"normal"}))
def test_every_other_cheetah_is_another_one(variant: str) -> None:
    theirs, _ = ends(gym.make("HalfCheetah-v5"), ACTIONS)
    ours, _ = ends(gym.make(f"sparse_agents/HalfCheetah-{variant}-v0"), ACTIONS)
    assert not np.allclose(ours, theirs)


def test_factors_reach_the_model() -> None:
    plain = gym.make("HalfCheetah-v5").unwrapped.model
    model = HalfCheetahVariant(parts={"foot": 1.5, "torso": 4.0}, gravity=0.15, friction=0.4).model
    factors = model.body_mass[1:] / plain.body_mass[1:]
    assert np.allclose(factors, [4, 1, 1, 1.5, 1, 1, 1.5])  # torso, back thigh, shin, foot, front thigh, shin, foot
    assert np.allclose(model.body_inertia[1:] / plain.body_inertia[1:], factors[:, None])
    names = [model.geom(index).name for index in range(model.ngeom)]
    radii = dict(zip(names, model.geom_size[:, 0] / plain.geom_size[:, 0], strict=True))
    assert radii == pytest.approx({**dict.fromkeys(radii, 1), "torso": 4, "bfoot": 1.5, "ffoot": 1.5})
    assert model.opt.gravity[2] == pytest.approx(-9.81 * 0.15)
    assert np.allclose(model.geom_friction, plain.geom_friction * 0.4)


def test_hidden_observations_are_zero_and_always_the_same_ones() -> None:
    env = gym.make("sparse_agents/HalfCheetah-defective_module-v0")
    seen = [ends(env, ACTIONS[:n])[0] != 0 for n in (3, 20)]
    assert np.array_equal(*seen)
    assert seen[0].sum() == 9


def test_inverted_actions_are_the_opposite() -> None:
    inverted, _ = ends(gym.make("sparse_agents/HalfCheetah-inverted_actions-v0"), -ACTIONS)
    plain, _ = ends(gym.make("HalfCheetah-v5"), ACTIONS)
    assert np.array_equal(inverted, plain)


def test_the_goal_velocity_is_rewarded() -> None:
    env = gym.make("sparse_agents/HalfCheetah-velocity-1.5-v0")
    env.reset(seed=0)
    _, reward, _, _, info = env.step(ACTIONS[0])
    control = 0.1 * float(np.square(ACTIONS[0]).sum())
    assert reward == pytest.approx(-abs(info["x_velocity"] - 1.5) - 0.5 * control)


def test_friction_of_the_ants_ground() -> None:
    plain = gym.make("Ant-v5").unwrapped.model.geom_friction
    assert np.allclose(gym.make("sparse_agents/Ant-friction-0.02-v0").unwrapped.model.geom_friction, plain * 0.02)


def test_gravity_of_the_pendulum() -> None:
    assert gym.make("sparse_agents/Pendulum-gravity-2.5-v0").unwrapped.g == 2.5


@pytest.mark.parametrize(("fraction", "total"), [(0.0, 17), (0.5, 34), (0.9, 170), (0.99, 1700)])
def test_noise_is_so_much_of_the_observation(fraction: float, total: int) -> None:
    env = NoisyFeatures(gym.make("HalfCheetah-v5"), fraction)
    observation, _ = env.reset(seed=1)
    plain, _ = gym.make("HalfCheetah-v5").reset(seed=1)
    assert observation.shape == env.observation_space.shape == (total,)
    assert np.array_equal(observation[:17], plain)
    again, _ = NoisyFeatures(gym.make("HalfCheetah-v5"), fraction).reset(seed=1)
    assert np.array_equal(observation, again)
    following = env.step(ACTIONS[0])[0]
    assert not np.isin(following[17:], observation[17:]).any()


def test_noise_may_lie_anywhere() -> None:
    plain, _ = NoisyFeatures(gym.make("HalfCheetah-v5"), 0.5).reset(seed=1)
    shuffled, _ = NoisyFeatures(gym.make("HalfCheetah-v5"), 0.5, permutation=4).reset(seed=1)
    assert not np.array_equal(plain, shuffled)
    assert np.array_equal(np.sort(plain), np.sort(shuffled))


@pytest.mark.filterwarnings("ignore::UserWarning")  # on habits; what is wrong is an error
def test_gymnasium_finds_nothing_wrong_with_noise() -> None:
    check_env(NoisyFeatures(gym.make("Pendulum-v1"), 0.5, permutation=0), skip_render_check=True)


@pytest.mark.parametrize("fraction", [1.0, -0.1])
def test_all_of_it_cannot_be_noise(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction="):
        NoisyFeatures(gym.make("Pendulum-v1"), fraction)
    with pytest.raises(ValueError, match="flat observations"):
        NoisyFeatures(gym.make("FrozenLake-v1"))


def test_they_are_there_with_the_package() -> None:
    assert sparse_agents.envs.SEQUENCES is SEQUENCES
