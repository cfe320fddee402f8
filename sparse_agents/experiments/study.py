"""A study, declared in a file: agents, what is compared with what, and the runs that takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_agents.errors import CheckpointError, ConfigurationError, unknown
from sparse_agents.experiments.commands import TrainCommand
from sparse_agents.experiments.learning_curves import History
from sparse_agents.experiments.study_record import Key, StudyRecord
from sparse_agents.runs import Literal, RunFolder, read_yaml

KEYS = ("logs", "document", "figures", "record", "evaluations", "defaults", "agents", "comparisons")
AGENT_KEYS = ("from", "algo", "policy", "hyperparams")
COMPARISON_KEYS = ("agents", "envs", "seeds", "steps")


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
            "--num-threads", "1", "--verbose", "0",
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

    def check_made(self, run: RunFolder, evaluations: Evaluations) -> None:
        """A run of other settings is not this agent's.

        Raises:
            CheckpointError: saying what to do.
        """
        had = run.read_settings()
        had["hyperparams"] = Literal.parse_all(had["hyperparams"], "--hyperparams")
        wanted = self.settings(evaluations)
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
        if not isinstance(self.envs, list) or not self.envs:
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

    @classmethod
    def read(cls, path: Path) -> Study:
        """From YAML.

        Raises:
            ConfigurationError: where it says something that is not understood.
        """
        content = read_yaml(path)
        try:
            for key in content:
                if key not in KEYS:
                    raise unknown(f"key of {path}", key, KEYS)
            agents = {name: _agent(name, content["agents"]) for name in content["agents"]}
            comparisons = {
                name: _comparison(name, {**content["defaults"], **settings}, agents)
                for name, settings in content["comparisons"].items()
            }
            evaluations = Evaluations(**content["evaluations"])
            logs, document, figures, record = (Path(content[n]) for n in ("logs", "document", "figures", "record"))
        except KeyError as error:
            raise ConfigurationError(f"{path} lacks {error}.") from error
        except TypeError as error:
            raise ConfigurationError(f"{path} is not a study: {error}") from error
        return cls(path, logs, document, figures, StudyRecord(record), evaluations, comparisons)

    def commands(self, comparison: Comparison) -> Iterator[TrainCommand]:
        """Its runs that are not recorded, all agents with the first seed first; the same run may belong to several
        comparisons.
        """
        agents = {agent.name: agent for agent in comparison.agents.values()}.values()
        for seed, env, agent in itertools.product(range(comparison.seeds), comparison.envs, agents):
            if self._recorded(agent, env, seed, comparison.steps) is None:
                yield self.command(agent, env, seed, comparison.steps)

    def history(self, agent: Agent, env: str, seed: int, steps: int) -> History | None:
        """The evaluations of a run that has so many steps behind it: from its folder, which is then recorded, or from
        the record.
        """
        run = self.command(agent, env, seed, steps).finished_run()
        if run is not None:
            self.record.add(Key(agent.name, env, seed), agent.settings(self.evaluations), History.of(run))
        return self._recorded(agent, env, seed, steps)

    def _recorded(self, agent: Agent, env: str, seed: int, steps: int) -> History | None:
        return self.record.find(Key(agent.name, env, seed), agent.settings(self.evaluations), steps)

    def command(self, agent: Agent, env: str, seed: int, steps: int) -> TrainCommand:
        """One run, which another comparison may have made already, and made longer.

        Raises:
            CheckpointError: where it was made with other settings.
        """
        folder = self.logs / env / agent.name / str(seed)
        arguments = agent.arguments(env, seed, steps, self.evaluations)
        command = TrainCommand(f"{agent.name}, {env}, seed {seed}", arguments, folder, steps)
        run = command.run_folder()
        if run is not None:
            agent.check_made(run, self.evaluations)
        return command


def _agent(name: str, all_agents: Mapping[str, Mapping[str, Any]]) -> Agent:
    settings = _inherited(name, all_agents, ())
    return Agent(name, settings["algo"], settings["policy"], settings.get("hyperparams", {}))


def _inherited(name: str, all_agents: Mapping[str, Mapping[str, Any]], below: Sequence[str]) -> dict[str, Any]:
    """What an agent says, over what the one it comes from says."""
    if name not in all_agents:
        raise unknown("agent", name, all_agents)
    if name in below:
        raise ConfigurationError(f"Agents come from each other in a circle: {', '.join((*below, name))}.")
    own = dict(all_agents[name])
    for key in own:
        if key not in AGENT_KEYS:
            raise unknown(f"key of agent {name}", key, AGENT_KEYS)
    base = own.pop("from", None)
    return own if base is None else _over(own, _inherited(base, all_agents, (*below, name)))


def _over(own: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Dictionaries are merged, everything else replaced."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _over(value, base[key]) if both else value
    return merged


def _comparison(name: str, settings: Mapping[str, Any], agents: Mapping[str, Agent]) -> Comparison:
    if not isinstance(settings["agents"], Mapping) or not settings["agents"]:
        raise ConfigurationError(f"agents of comparison {name}: {settings['agents']!r} has no labels and agents.")
    for key in settings:
        if key not in COMPARISON_KEYS:
            raise unknown(f"key of comparison {name}", key, COMPARISON_KEYS)
    for agent in settings["agents"].values():
        if agent not in agents:
            raise unknown(f"agent in comparison {name}", agent, agents)
    named = {label: agents[agent] for label, agent in settings["agents"].items()}
    return Comparison(**{**settings, "name": name, "agents": named})


def _check_count(name: str, value: object) -> None:
    """Raises ConfigurationError where it is no number of things."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name}: {value!r} is no whole number of at least 1.")
