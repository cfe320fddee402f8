"""An agent of Stable-Baselines3 that learns one environment after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor, nn

from sparse_agents.continual.activity import Activity, activity
from sparse_agents.continual.agents.heads import OwnHeads
from sparse_agents.continual.agents.networks import networks_of_policy
from sparse_agents.continual.agents.outputs import policy_outputs
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.network import Network
from sparse_agents.errors import ConfigurationError
from sparse_agents.policies import SparsePolicyMixin
from sparse_agents.runs import Continue, checkpoint, evaluate, make_env
from sparse_agents.runs.run_state import restore_run

FISHER_SAMPLES = 256
ACTIVITY_SAMPLES = 256


@dataclass(frozen=True)
class AgentTraining:
    """How an agent is trained.

    Attributes:
        algorithm: of Stable-Baselines3, or ours.
        steps: environment steps of each task.
        policy_kwargs: of the sparse policy; its topology is static, for methods decide what changes, and its output
            layers are sparse unless they say otherwise.
        hyperparams: of the algorithm; ``learning_starts`` counts in every task, and is a tenth of it at most where it
            is not given.
        networks: those that methods look after.
        own_heads: whether output layers are each task's own.
        episodes: of an evaluation.
        device: that it is on.
    """

    algorithm: type[BaseAlgorithm]
    steps: int
    policy_kwargs: Mapping[str, Any] = field(default_factory=dict)
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    networks: Sequence[str] = ("actor", "q_net")
    own_heads: bool = False
    episodes: int = 5
    device: str = "cpu"


class AgentLearner(Learner):
    """Trains by ``model.learn()``, a task at a time.

    When a task begins, the environment is another one, the replay buffer empty, unless the method keeps experience, and
    moments and entropy coefficient are as in the beginning; the critics go on.

    Args:
        envs: ids of environments with the same spaces, one for each task.
        training: settings.
        seed: of everything.
        folder: of the run, where the agent is saved.
        saved: by a run to go on with; None for a new one.

    Attributes:
        model: the agent.
        heads: output layers of tasks that are over.
    """

    labelled = False
    model: BaseAlgorithm

    def __init__(
        self, envs: Sequence[str], training: AgentTraining, seed: int, folder: Path, saved: Mapping[str, Any] | None
    ) -> None:
        self.envs, self.training, self.seed = tuple(envs), training, seed
        self.tasks = [f"{index + 1} {env.removeprefix('sparse_agents/')}" for index, env in enumerate(envs)]
        self.step, self.length, self.task = 0, training.steps, 0
        self._evaluation = {env: make_env(env, seed) for env in dict.fromkeys(envs)}
        self._check_spaces()
        self._continue: dict[str, Any] | None = None
        self.model = self._new() if saved is None else self._saved(folder, saved)
        policy: Any = self.model.policy
        self.networks, own = networks_of_policy(policy, training.networks, training.own_heads)
        self.heads = OwnHeads(own)
        first = {key: value.clone() for key, value in policy.state_dict().items() if isinstance(value, Tensor)}
        self._first, self._warm_up = first, int(vars(self.model).get("learning_starts", 0))
        if saved is not None:
            self.heads.restore(saved["heads"])
            self._first, self._warm_up = saved["first"], saved["warm_up"]
        self.model.set_logger(Logger(folder=None, output_formats=[]))

    def _new(self) -> BaseAlgorithm:
        training = self.training
        try:
            model = training.algorithm(
                "SparseMlpPolicy",
                make_env(self.envs[0], self.seed),
                seed=self.seed,
                device=training.device,
                policy_kwargs={"dense_output": False, **training.policy_kwargs, "topology": "static"},
                **training.hyperparams,
            )  # type: ignore[call-arg]
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(f"{training.algorithm.__name__} does not take these settings: {error}.") from error
        if isinstance(model, OffPolicyAlgorithm):
            self._check_warm_up(model)
        policy = cast(SparsePolicyMixin, model.policy)
        if not policy.sparse_options()["share_topology"]:
            raise ConfigurationError("Target networks with connections of their own do not follow those of methods.")
        return model

    def _check_warm_up(self, model: OffPolicyAlgorithm) -> None:
        steps = self.training.steps
        if "learning_starts" not in self.training.hyperparams:
            model.learning_starts = min(model.learning_starts, steps // 10)
        elif model.learning_starts >= steps:
            raise ConfigurationError(
                f"learning_starts={model.learning_starts}: every task begins with so many random steps, and of its "
                f"{steps} none is left to learn in."
            )

    def _saved(self, folder: Path, saved: Mapping[str, Any]) -> BaseAlgorithm:
        """As it was: put back in place at once between tasks, and when training begins again within one."""
        self.step = int(saved["step"])
        task = int(saved["task"])
        env = make_env(self.envs[task], self.seed + 1000 * task)
        path, training = folder / "agent" / str(saved["agent"]), self.training
        model, state = checkpoint.load(path, training.algorithm, env, training.device)
        if self.step > 0:
            self._continue = state
        else:
            model.set_logger(Logger(folder=None, output_formats=[]))
            restore_run(model, [], state)
        return model

    def _check_spaces(self) -> None:
        first = self._evaluation[self.envs[0]]
        for env, made in self._evaluation.items():
            if (made.observation_space, made.action_space) != (first.observation_space, first.action_space):
                raise ConfigurationError(
                    f"{env} and {self.envs[0]} have different spaces; an agent needs the same for all tasks."
                )

    # -- for the runner

    def learn(self, method: ContinualMethod, between: Callable[[int], None]) -> None:
        task = self.task = method.task
        if self.step == 0:
            self._begin(task, keep_experience=method.keeps_experience)
        callbacks: list[BaseCallback] = []
        if self._continue is not None:
            callbacks.append(Continue(self._continue, []))
            self._continue = None
        begin = task * self.length
        callbacks.append(_Between(self, begin, between))
        remaining = begin + self.length - self.model.num_timesteps
        if remaining > 0:
            self.model.learn(remaining, callbacks, reset_num_timesteps=False)
        self.step = self.length
        between(self.step)
        self.step = 0

    def _begin(self, task: int, keep_experience: bool) -> None:
        model = self.model
        if task == 0:
            return
        self.heads.begin()
        model.num_timesteps = task * self.length  # a rollout may have gone beyond the last task's end
        model.set_env(make_env(self.envs[task], self.seed + 1000 * task), force_reset=True)
        self.reset_optimizers()
        if isinstance(model, OffPolicyAlgorithm):
            model.learning_starts = model.num_timesteps + self._warm_up
            if not keep_experience:
                assert model.replay_buffer is not None
                model.replay_buffer.reset()

    def close(self) -> None:
        self.heads.end()

    def scores(self, method: ContinualMethod) -> Mapping[str, Sequence[float]]:
        """The agent being told which task it is.

        Of environments that say ``is_success`` as an episode ends, the part of episodes with success; of others the
        mean return.
        """
        found = []
        for task, env in enumerate(self.envs):
            successes = _Successes()
            with method.view(task):
                self._evaluation[env].seed(self.seed + 7)
                returns, _ = evaluate(self.model, self._evaluation[env], self.training.episodes, callback=successes)
            found.append(float(np.mean(successes.found or returns)))
        return {"known": found}

    def save(self, folder: Path) -> dict[str, Any]:
        path = checkpoint.save(self.model, folder / "agent")
        return {
            "step": self.step,
            "task": self.task,
            "agent": path.name,
            "heads": self.heads.state(),
            "first": self._first,
            "warm_up": self._warm_up,
        }

    # -- for methods

    def outputs(self, task: int) -> Tensor | None:
        return None

    def private(self, task: int | None) -> Mapping[nn.Parameter, Tensor]:
        return self.heads.of(task)

    def updates(self, network: Network) -> int:
        model: Any = self.model
        if isinstance(model, OnPolicyAlgorithm):
            rollout = model.n_steps * model.n_envs
            minibatches = -(-rollout // vars(model).get("batch_size", rollout))
            return int(self.length // rollout * vars(model).get("n_epochs", 1) * minibatches)
        per_step = model.gradient_steps if model.gradient_steps > 0 else model.train_freq.frequency
        steps = (self.length - self._warm_up) * per_step // model.train_freq.frequency
        delayed = isinstance(model, TD3) and network.name == "actor"
        return int(steps // model.policy_delay if delayed else steps)

    def start_afresh(self, task: int) -> None:
        self.model.policy.load_state_dict(self._first, strict=False)
        self.reset_optimizers()

    def reset_optimizers(self) -> None:
        policy: Any = self.model.policy
        for optimizer in policy.optimizers().values():
            optimizer.state.clear()
        if isinstance(self.model, SAC) and self.model.ent_coef_optimizer is not None:
            assert self.model.log_ent_coef is not None
            start = str(self.model.ent_coef).partition("_")[2]
            self.model.log_ent_coef.data.fill_(np.log(float(start) if start else 1.0))
            self.model.ent_coef_optimizer.state.clear()

    def train_on(self, task: int, steps: int) -> None:
        model = self.model
        if steps:
            assert isinstance(model, OffPolicyAlgorithm)
            model.train(gradient_steps=steps, batch_size=model.batch_size)

    def check_experience(self, why: str) -> None:
        if not isinstance(self.model, OffPolicyAlgorithm):
            raise ConfigurationError(f"{type(self.model).__name__} keeps no experience once it is used: {why}.")

    def check_fisher(self) -> None:
        policy_outputs(self.model, self._example())

    def check_activity(self) -> None:
        policy = cast(SparsePolicyMixin, self.model.policy)
        if type(policy).run_networks is SparsePolicyMixin.run_networks:
            raise ConfigurationError(f"What the units of {type(policy).__name__} do cannot be told.")

    def _example(self) -> Tensor:
        """One observation."""
        return self._tensor(np.asarray(self.model.observation_space.sample())[None])

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, device=self.model.device)

    def fisher(self, task: int) -> Mapping[nn.Parameter, Tensor]:
        parameters = [parameter for network in self.networks.values() for _, parameter in network.parameters()]
        found = {parameter: torch.zeros_like(parameter) for parameter in parameters}
        observations = self._observations()
        for one in observations:
            for outputs, weights in policy_outputs(self.model, one[None]):
                for output, weight in zip(outputs.flatten(), weights.flatten(), strict=True):
                    gradients = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        if gradient is not None:
                            found[parameter].addcmul_(gradient, gradient, value=float(weight) / len(observations))
        return found

    def activity(self, task: int) -> list[Activity]:
        """While the agent acts in the task's environment as it has learned to act."""
        env, policy = self._evaluation[self.envs[task]], cast(SparsePolicyMixin, self.model.policy)
        env.seed(self.seed + 7)
        seen = [np.asarray(env.reset())]
        actions: list[Any] = []
        while len(actions) < ACTIVITY_SAMPLES:
            action, _ = self.model.predict(seen[-1], deterministic=True)
            actions.append(action)
            observation, _, _, _ = env.step(action)
            seen.append(np.asarray(observation))
        observations, taken = (self._tensor(np.concatenate(rows)) for rows in (seen[:-1], actions))
        with torch.no_grad():
            return [activity(self.networks, partial(policy.run_networks, observations, taken), None)]

    def _observations(self) -> Tensor:
        """Of the task that was trained last."""
        model: Any = self.model
        if isinstance(model, OffPolicyAlgorithm):
            assert model.replay_buffer is not None
            return model.replay_buffer.sample(FISHER_SAMPLES).observations
        seen = model.rollout_buffer.observations.reshape(-1, *model.observation_space.shape)
        return self._tensor(seen[:: max(1, len(seen) // FISHER_SAMPLES)])


class _Successes:
    """Collects what episodes of an evaluation end with, where they say it."""

    def __init__(self) -> None:
        self.found: list[bool] = []

    def __call__(self, local: dict[str, Any], _: dict[str, Any]) -> None:
        if local["done"] and "is_success" in local["info"]:
            self.found.append(bool(local["info"]["is_success"]))


class _Between(BaseCallback):
    """Tells of moments when weights, environment and buffer agree."""

    def __init__(self, learner: AgentLearner, begin: int, between: Callable[[int], None]) -> None:
        super().__init__()
        self._learner, self._begin, self._tell = learner, begin, between

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        step = self.num_timesteps - self._begin
        if step > self._learner.step:
            self._learner.step = step
            self._tell(step)
