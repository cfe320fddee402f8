"""Evaluate a trained agent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm
from tyro.conf import arg

from sparse_agents.cli.options import OptionalPath, check_seed, parse
from sparse_agents.cli.saved_agent import AgentArguments, SavedAgent
from sparse_agents.cli.sequence_job import SequenceJob, arguments_of, settings_of
from sparse_agents.continual.runner import open_run
from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.documents import counted
from sparse_agents.runs import evaluate, film, make_env


@dataclass(frozen=True)
class EvaluateArguments(AgentArguments):
    """Evaluate a trained agent: a run folder, or a model's zip with --algo and --env. Of a sequence of tasks
    (logs/sequences/SEQUENCE/METHOD/seed_0), every task by itself."""

    n_eval_episodes: Annotated[int, arg(aliases=["-n"])] = 10
    """Episodes."""
    stochastic: bool = False
    """Sample actions instead of taking the most likely one."""
    seed: int = 0
    """Seed of the environment."""
    video: OptionalPath = None
    """Folder for a video of each episode."""
    data_dir: OptionalPath = None
    """Of a sequence of images that come with no package: where they are."""
    json: bool = False
    """Print one JSON object instead of text."""


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    arguments = parse(EvaluateArguments, "evaluate", argv)
    if arguments.n_eval_episodes < 1:
        raise ConfigurationError(f"--n-eval-episodes {arguments.n_eval_episodes}: give at least 1.")
    check_seed(arguments.seed)
    if settings_of(arguments.agent).is_file():
        _tasks(arguments)
    else:
        _episodes(arguments)


def _episodes(arguments: EvaluateArguments) -> None:
    saved = SavedAgent.find(arguments)
    episodes = arguments.n_eval_episodes
    if arguments.video is None:
        plain = make_env(saved.env_id, arguments.seed)
    else:
        plain = film(saved.env_id, arguments.seed, arguments.video, episodes)
    model, env = saved.load(plain)
    returns, lengths, interrupted = _evaluated(model, env, arguments)
    env.close()
    if interrupted and not returns:
        raise KeyboardInterrupt
    result = {
        "model": str(saved.path),
        "env": saved.env_id,
        "episodes": len(returns),
        "mean_return": float(np.mean(returns)),
        "std_return": float(np.std(returns)),
        "returns": returns,
        "lengths": lengths,
        "videos": [] if arguments.video is None else sorted(map(str, arguments.video.glob("*.mp4"))),
    }
    _tell(result, arguments)
    if interrupted:
        raise KeyboardInterrupt


def _evaluated(
    model: BaseAlgorithm, env: VecEnv, arguments: EvaluateArguments
) -> tuple[list[float], list[int], bool]:  # fmt: skip
    """Returns and lengths of episodes, and whether Ctrl-C came before there were enough."""
    episodes = arguments.n_eval_episodes
    so_far: dict[str, Any] = {"episode_rewards": [], "episode_lengths": []}
    with tqdm(total=episodes, unit=" episodes", leave=False, disable=None) as bar:

        def look(local: Mapping[str, Any], _: Mapping[str, Any]) -> None:
            so_far.update({name: local[name] for name in so_far})  # lists that the evaluator appends to
            bar.update(int(bool(local["done"])))

        try:
            returns, lengths = evaluate(model, env, episodes, not arguments.stochastic, look)
        except KeyboardInterrupt:
            return [float(one) for one in so_far["episode_rewards"]], so_far["episode_lengths"], True
    return returns, lengths, False


def _tell(result: Mapping[str, Any], arguments: EvaluateArguments) -> None:
    if arguments.json:
        print(json.dumps(result))
        return
    summary = f"{result['mean_return']:.1f} ± {result['std_return']:.1f}"
    print(f"{result['model']}: {summary} on {result['env']}, {counted(result['episodes'], 'episode')}")
    if arguments.video is not None:
        print(f"videos in {arguments.video}")


def _tasks(arguments: EvaluateArguments) -> None:
    """Of a sequence, as its method answers now."""
    for flag in ("video", "env", "algo", "which", "normalization"):
        if getattr(arguments, flag) is not None:
            raise ConfigurationError(f"--{flag} is for a single agent, and {arguments.agent} is a sequence of tasks.")
    if arguments.stochastic:
        raise ConfigurationError("--stochastic is for a single agent: tasks of a sequence are answered as best known.")
    folder = arguments.agent
    given = arguments_of(folder, eval_episodes=arguments.n_eval_episodes, data_dir=arguments.data_dir)
    job = SequenceJob.of(given, folder)
    learner, method, _ = open_run(folder, job.learner, job.method)
    if method.task < 0:
        raise ConfigurationError(f"{folder} has no checkpoint yet.")
    scores = {identity: list(found) for identity, found in learner.scores(method).items()}
    learned = method.task + 1 if method.finished else method.task
    if arguments.json:
        found = {"run": str(folder), "sequence": given.sequence, "method": given.method, "learned": learned}
        print(json.dumps({**found, "tasks": list(learner.tasks), "scores": scores}))
        return
    table = Table("task", *(f"score, identity {identity}" for identity in scores), title=f"{learned} tasks learned")
    for index, task in enumerate(learner.tasks):
        table.add_row(task, *(f"{found[index]:.3f}" for found in scores.values()))
    Console().print(table)
