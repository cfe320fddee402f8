"""Two agents alike, one trained natively and one by Stable-Baselines3, on the same minibatches and noise."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from sb3_helpers import DoubleFlatten, Noise
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sparse_agents import DSTD3
from sparse_agents.training import SACStep, TD3Step
from sparse_agents.training.natively import TrainsNatively

POLICY: dict[str, Any] = {"net_arch": [24, 24], "sparsity": 0.7, "distribution": "erk", "weight_init": "scaled"}
REWIRING = {"update_interval": 7, "begin": 3, "drop_fraction": 0.3, "schedule": "constant", "end": 10_000}


def agents(
    kind: Any = DSTD3,
    double: bool = False,
    n_envs: int = 1,
    policy: dict[str, Any] | None = None,
    normalize: bool = False,
    **settings: Any,
) -> list[Any]:
    """Two alike, the second of which is to be trained by Stable-Baselines3."""
    made = []
    for _ in range(2):
        kwargs = {**POLICY, **(policy or {})}
        if double:
            kwargs["features_extractor_class"] = DoubleFlatten
        env: VecEnv = DummyVecEnv([Noise] * n_envs)
        if normalize:
            env = VecNormalize(env)
            env.obs_rms.mean, env.obs_rms.var = env.obs_rms.mean + 0.5, env.obs_rms.var * 4
        shared: dict[str, Any] = {"buffer_size": 700, "batch_size": 32, "seed": 0, "device": "cpu", **settings}
        model = kind("SparseMlpPolicy", env, policy_kwargs=kwargs, **shared)
        fill_all(model)
        if double:
            model.policy.double()
            if vars(model).get("log_ent_coef") is not None:
                model.log_ent_coef.data = model.log_ent_coef.data.double()
        model.set_logger(Logger(folder=None, output_formats=[]))
        made.append(model)
    return made


def fill_all(model: Any) -> None:
    rng = np.random.default_rng(0)
    buffer = model.replay_buffer
    for _ in range(300):
        obs, new = rng.standard_normal((2, buffer.n_envs, *buffer.obs_shape))
        action = rng.uniform(-1, 1, (buffer.n_envs, buffer.action_dim))
        done = rng.random(buffer.n_envs) < 0.2
        infos = [{"TimeLimit.truncated": bool(d and rng.random() < 0.5)} for d in done]
        buffer.add(obs, new, action, rng.standard_normal(buffer.n_envs), done, infos)


def seed(number: int) -> None:
    torch.manual_seed(number)
    np.random.seed(number)  # noqa: NPY002


@contextmanager
def counting() -> Iterator[list[int]]:
    """The numbers of the updates that are native ones."""
    ran: list[int] = []

    def counted(run: Any) -> Any:
        def wrapper(step: Any, number: int) -> Any:
            ran.append(number)
            return run(step, number)

        return wrapper

    with (
        mock.patch.object(TD3Step, "run", counted(TD3Step.run)),
        mock.patch.object(SACStep, "run", counted(SACStep.run)),
    ):
        yield ran


def train_both(native: Any, plain: Any, updates: int, per_call: int = 1) -> None:
    """Half of the first one's updates, or more, are native; the others are those that a topology rule looks at."""
    seed(1)
    with counting() as ran:
        for _ in range(0, updates, per_call):
            native.train(per_call, 32)
    assert native.why_not_native() is not None or 2 * len(ran) >= updates - 2
    drawn = (torch.rand(1), np.random.rand())  # noqa: NPY002
    seed(1)
    for _ in range(0, updates, per_call):
        super(TrainsNatively, plain).train(per_call, 32)
    assert drawn == (torch.rand(1), np.random.rand())  # noqa: NPY002


def difference(native: Any, plain: Any) -> float:
    """The largest, of parameters, targets and moments; topologies have to be the same."""
    worst = 0.0
    for (name, a), (other, b) in zip(
        native.policy.state_dict().items(), plain.policy.state_dict().items(), strict=True
    ):
        assert name == other
        if torch.is_tensor(a):
            assert a.shape == b.shape, name
            worst = max(worst, float((a - b).abs().max())) if a.is_floating_point() else worst
            assert a.is_floating_point() or torch.equal(a, b), name
    optimizers = [(native.actor.optimizer, plain.actor.optimizer), (native.critic.optimizer, plain.critic.optimizer)]
    if vars(native).get("ent_coef_optimizer") is not None:
        optimizers.append((native.ent_coef_optimizer, plain.ent_coef_optimizer))
        worst = max(worst, float((native.log_ent_coef - plain.log_ent_coef).detach().abs()))
    for one, two in optimizers:
        for a, b in zip(one.state.values(), two.state.values(), strict=True):
            assert a.keys() == b.keys()
            for key in a:
                worst = max(worst, float((torch.as_tensor(a[key]) - torch.as_tensor(b[key])).abs().max()))
    return worst


def assert_copies_train_alike(model: Any, updates: int) -> None:
    """torch copies optimizers without their hooks."""
    seed(0)
    model.train(6, 32)
    again = copy.deepcopy(model)
    for one in (model, again):
        seed(1)
        one.train(updates, 32)
    assert difference(model, again) == 0


def assert_native(model: Any) -> None:
    assert model.why_not_native() is None
    assert model._compiled is not None
