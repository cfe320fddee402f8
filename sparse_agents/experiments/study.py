"""A study: agents, what is compared with what, and the runs that takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.experiments.commands import TrainCommand
from sparse_agents.experiments.learning_curves import History
from sparse_agents.experiments.study_record import Key, StudyRecord
from sparse_agents.runs import Literal, RunFolder


@dataclass(frozen=True)
class Evaluations:
    """How an agent is judged on its way.

    Attributes:
        interval: environment steps between evaluations.
        episodes: of each.
        last: over how many, at the end, a run's return is averaged.
    """

    interval: int
    episodes: int
    last: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            _check_count(f"evaluations: {name}", value)


@dataclass(frozen=True)
class Agent:
    """What is trained: settings of the train command, the same for every environment and seed."""

    name: str
    algo: str
    policy: str
    hyperparams: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.hyperparams, Mapping):
            raise ConfigurationError(
                f"hyperparams of agent {self.name} are {self.hyperparams!r}, not names and values."
            )

    def arguments(self, env: str, seed: int, steps: int, evaluations: Evaluations) -> tuple[str, ...]:
        """Of the train command, but for where it writes."""
        given = (f"{name}:{value!r}" for name, value in self.hyperparams.items())
        hyperparams = ("--hyperparams", *given) if self.hyperparams else ()
        return (
            "--algo", self.algo, "--policy", self.policy, "--env", env, "--seed", str(seed), "-n", str(steps),
            *hyperparams, "--eval-freq", str(evaluations.interval), "--eval-episodes", str(evaluations.episodes),
            "--save-freq", str(evaluations.interval), "--num-threads", "1", "--verbose", "0",
        )  # fmt: skip

    def settings(self, evaluations: Evaluations) -> dict[str, Any]:
        """What makes its runs what they are."""
        return {
            "algo": self.algo,
            "policy": self.policy,
            "hyperparams": self.hyperparams,
            "eval_freq": evaluations.interval,
            "eval_episodes": evaluations.episodes,
        }

    def check_made(self, run: RunFolder, steps: int, evaluations: Evaluations) -> None:
        """A run of other settings, or of another length, is not this agent's.

        Raises:
            CheckpointError: saying what to do.
        """
        had = run.read_settings()
        had["hyperparams"] = Literal.parse_all(had["hyperparams"], "--hyperparams")
        wanted = {**self.settings(evaluations), "n_timesteps": steps}
        if {name: had[name] for name in wanted} != wanted:
            raise CheckpointError(
                f"{run.path} is a run of {self.name!r} with other settings than it has now. Give the agent another "
                "name, or remove the run."
            )


@dataclass(frozen=True)
class Comparison:
    """A table and a figure.

    Attributes:
        name: of its files, and of its place in the document.
        agents: what they are called in the table, and which they are; the first is what others are measured by.
        envs: the environments.
        seeds: how many, from 0.
        steps: environment steps that are looked at.
    """

    name: str
    agents: Mapping[str, Agent]
    envs: Sequence[str]
    seeds: int
    steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.envs, list) or not self.envs or not all(isinstance(env, str) for env in self.envs):
            raise ConfigurationError(f"envs of comparison {self.name}: {self.envs!r} is no list of environments.")
        for name in ("seeds", "steps"):
            _check_count(f"{name} of comparison {self.name}", getattr(self, name))


@dataclass(frozen=True)
class Study:
    """All of it.

    Attributes:
        path: of the file it was read from.
        logs: where run folders go.
        document: the page that tables are put into, between ``<!-- study: NAME -->`` and ``<!-- end -->``.
        figures: where figures go.
        record: evaluations of finished runs, whose folders may be gone.
        evaluations: of every run.
        comparisons: by name.
    """

    path: Path
    logs: Path
    document: Path
    figures: Path
    record: StudyRecord
    evaluations: Evaluations
    comparisons: Mapping[str, Comparison]

    def commands(self, comparison: Comparison) -> Iterator[TrainCommand]:
        """Its runs that are not recorded, all agents with the first seed first; the same run may belong to several
        comparisons.
        """
        agents = {agent.name: agent for agent in comparison.agents.values()}.values()
        for seed, env, agent in itertools.product(range(comparison.seeds), comparison.envs, agents):
            if self._recorded(Key(agent.name, env, comparison.steps, seed), agent) is None:
                yield self.command(agent, env, comparison.steps, seed)

    def history(self, agent: Agent, env: str, steps: int, seed: int) -> History | None:
        """The evaluations of a finished run: from its folder, which is then recorded, or from the record."""
        key = Key(agent.name, env, steps, seed)
        run = self.command(agent, env, steps, seed).finished_run()
        if run is not None:
            self.record.add(key, agent.settings(self.evaluations), History.of(run))
        return self._recorded(key, agent)

    def _recorded(self, key: Key, agent: Agent) -> History | None:
        return self.record.find(key, agent.settings(self.evaluations))

    def command(self, agent: Agent, env: str, steps: int, seed: int) -> TrainCommand:
        """One run, which another comparison may have made already.

        Raises:
            CheckpointError: where it was made with other settings.
        """
        folder = self.logs / env / agent.name / str(steps) / str(seed)
        arguments = agent.arguments(env, seed, steps, self.evaluations)
        command = TrainCommand(f"{agent.name}, {env}, seed {seed}", arguments, folder, steps)
        run = command.run_folder()
        if run is not None:
            agent.check_made(run, steps, self.evaluations)
        return command


def _check_count(name: str, value: object) -> None:
    """Raises ConfigurationError where it is no number of things."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name}: {value!r} is no whole number of at least 1.")
