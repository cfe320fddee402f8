"""A trained agent as the command line names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from tyro.conf import Positional

from sparse_agents.cli.options import OptionalPath, OptionalStr, algorithm, import_packages
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import (
    Literal,
    Normalization,
    RunFolder,
    check_environment,
    checkpoint,
    make_env,
    with_statistics,
)


@dataclass(frozen=True)
class AgentArguments:
    """Which agent."""

    agent: Positional[Path]
    """Run folder, or a model's .zip file."""
    algo: OptionalStr = None
    """Algorithm of a .zip file, by the names that train takes, such as ds_td3 or sac."""
    env: OptionalStr = None
    """Environment id; by default the run's own."""
    normalization: OptionalPath = None
    """Statistics of VecNormalize that belong to a .zip file (vecnormalize.pkl); a run folder has its own."""
    which: OptionalStr = None
    """Of a run folder: best or final; by default the best where evaluations were made, else the final one."""
    gym_packages: tuple[str, ...] = ()
    """Modules to import first, besides the run's own."""


@dataclass(frozen=True)
class SavedAgent:
    """Where an agent is.

    Attributes:
        path: of the model.
        algo: its algorithm, by rl-zoo3's name.
        env_id: of its environment.
        statistics: that it normalises by, or None.
    """

    path: Path
    algo: str
    env_id: str
    statistics: Path | None

    @classmethod
    def find(cls, arguments: AgentArguments) -> SavedAgent:
        """By the command line.

        Raises:
            ConfigurationError: where there is none, or too little is said of it.
        """
        import_packages(arguments.gym_packages)
        found = _in_folder(arguments) if arguments.agent.is_dir() else _alone(arguments)
        check_environment(found.env_id)
        if found.statistics is not None and not found.statistics.is_file():
            raise ConfigurationError(f"--normalization {found.statistics}: there is no such file.")
        return found

    def load(self, env: VecEnv | None = None) -> tuple[BaseAlgorithm, VecEnv]:
        """The agent and an environment for it, by default a new one, with the statistics it normalises by."""
        env = make_env(self.env_id, 0) if env is None else env
        if self.statistics is not None:
            env = with_statistics(env, self.statistics)
        return checkpoint.load_model(self.path, algorithm(self.algo), env), env


def _in_folder(arguments: AgentArguments) -> SavedAgent:
    folder = RunFolder.open(arguments.agent)
    if arguments.which not in ("best", "final", None):
        raise ConfigurationError(f"--which {arguments.which}: best or final.")
    path, statistics = folder.best_model, folder.best_statistics
    if arguments.which == "final" or (arguments.which is None and not path.is_file()):
        path, statistics = folder.final_model, folder.statistics
    settings = folder.read_settings()
    import_packages(settings.get("gym_packages") or ())
    own = Literal.parse_all(settings.get("hyperparams") or (), "--hyperparams")
    if Normalization.of(own).wanted and arguments.normalization is None and not statistics.is_file():
        raise CheckpointError(f"The run normalises observations, and its statistics {statistics} are not there.")
    return SavedAgent(
        path,
        arguments.algo or str(settings.get("algo")),
        arguments.env or folder.env_id,
        arguments.normalization or (statistics if statistics.is_file() else None),
    )


def _alone(arguments: AgentArguments) -> SavedAgent:
    if not arguments.agent.is_file():
        raise ConfigurationError(f"There is no run folder and no model at {arguments.agent}.")
    if arguments.algo is None or arguments.env is None:
        raise ConfigurationError(f"{arguments.agent} is a model alone: say its --algo and --env.")
    return SavedAgent(arguments.agent, arguments.algo, arguments.env, arguments.normalization)
