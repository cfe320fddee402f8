"""Evaluate a trained agent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from tyro.conf import arg

from sparse_agents.cli.options import parse
from sparse_agents.cli.saved_agent import AgentArguments, SavedAgent
from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import evaluate


@dataclass(frozen=True)
class EvaluateArguments(AgentArguments):
    """Evaluate a trained agent: a run folder, or a model's zip with --algo and --env."""

    n_eval_episodes: Annotated[int, arg(aliases=["-n"])] = 10
    """Episodes."""
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
    saved = SavedAgent.find(arguments)
    model, env = saved.load(arguments.seed)
    returns, lengths = evaluate(model, env, arguments.n_eval_episodes, deterministic=not arguments.stochastic)
    result = {
        "model": str(saved.path),
        "env": saved.env_id,
        "episodes": len(returns),
        "mean_return": float(np.mean(returns)),
        "std_return": float(np.std(returns)),
        "returns": returns,
        "lengths": lengths,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        summary = f"{result['mean_return']:.1f} ± {result['std_return']:.1f}"
        print(f"{saved.path}: {summary} on {saved.env_id}, {len(returns)} episodes")
