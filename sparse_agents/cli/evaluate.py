"""Evaluate a trained agent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from sparse_agents.cli.options import Literal, algorithm, import_packages, parse
from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import (
    Normalization,
    RunFolder,
    check_environment,
    checkpoint,
    evaluate,
    make_env,
    with_statistics,
)


@dataclass(frozen=True)
class EvaluateArguments:
    """Evaluate a trained agent: a run folder, or a model's zip with --algo and --env."""

    agent: Positional[Path]
    """Run folder, or a model's .zip file."""
    algo: str | None = None
    """Algorithm of a .zip file: ds_td3, td3 or sac."""
    env: str | None = None
    """Environment id; by default the run's own."""
    normalization: Path | None = None
    """Statistics of VecNormalize that belong to a .zip file (vecnormalize.pkl); a run folder has its own."""
    which: str | None = None
    """Of a run folder: best or final; by default the best where evaluations were made, else the final one."""
    n_eval_episodes: Annotated[int, arg(aliases=["-n"])] = 10
    """Episodes."""
    gym_packages: tuple[str, ...] = ()
    """Modules to import first, besides the run's own."""
    stochastic: bool = False
    """Sample actions instead of taking the most likely one."""
    seed: int = 0
    """Seed of the environment."""
    json: bool = False
    """Print one JSON object instead of a line of text."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(EvaluateArguments, "evaluate", argv)
    if arguments.n_eval_episodes < 1:
        raise ConfigurationError(f"--n-eval-episodes {arguments.n_eval_episodes}: give at least 1.")
    import_packages(arguments.gym_packages)
    path, algo, env_id, statistics = _locate(arguments)
    check_environment(env_id)
    env = make_env(env_id, arguments.seed)
    if statistics is not None:
        if not statistics.is_file():
            raise ConfigurationError(f"--normalization {statistics}: there is no such file.")
        env = with_statistics(env, statistics)
    model = checkpoint.load_model(path, algorithm(algo), env)
    returns, lengths = evaluate(model, env, arguments.n_eval_episodes, deterministic=not arguments.stochastic)
    result = {
        "model": str(path),
        "env": env_id,
        "episodes": len(returns),
        "mean_return": float(np.mean(returns)),
        "std_return": float(np.std(returns)),
        "returns": returns,
        "lengths": lengths,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{path}: {result['mean_return']:.1f} ± {result['std_return']:.1f} on {env_id}, {len(returns)} episodes")


def _locate(arguments: EvaluateArguments) -> tuple[Path, str, str, Path | None]:
    """Model file, algorithm, environment, and statistics to normalise by."""
    if arguments.agent.is_dir():
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
        algo, env_id = arguments.algo or str(settings.get("algo")), arguments.env or folder.env_id
        return path, algo, env_id, arguments.normalization or (statistics if statistics.is_file() else None)
    if not arguments.agent.is_file():
        raise ConfigurationError(f"There is no run folder and no model at {arguments.agent}.")
    if arguments.algo is None or arguments.env is None:
        raise ConfigurationError(f"{arguments.agent} is a model alone: say its --algo and --env.")
    return arguments.agent, arguments.algo, arguments.env, arguments.normalization
