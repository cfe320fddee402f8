"""An agent learns Pendulum under one gravity after the other. PackNet gives every task connections of its own in one
sparse network, so that what was learned stays as it is, bit for bit; fine-tuning forgets.

    python examples/forget_nothing.py --steps 5000
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sparse_agents import DSSAC
from sparse_agents.cli import run_command
from sparse_agents.continual import (
    METHODS,
    METRICS,
    AgentLearner,
    AgentTraining,
    SequenceRun,
    make_method,
    read_records,
    score_matrix,
)

GRAVITIES = ("sparse_agents/Pendulum-gravity-10-v0", "sparse_agents/Pendulum-gravity-2.5-v0")


def learn(method: str, steps: int, folder: Path) -> None:
    """All tasks, with a table of returns: a line for each moment, a column for each task."""
    training = AgentTraining(
        DSSAC,
        steps,
        policy_kwargs={"sparsity": 0.8},
        hyperparams={"recipe": "robust", "learning_rate": 1e-3, "learning_starts": min(1000, steps // 2)},
        own_heads=METHODS[method].needs_identity,
    )
    run = SequenceRun(
        folder,
        lambda saved: AgentLearner(GRAVITIES, training, 0, folder, saved),
        lambda learner: make_method(method, learner, len(GRAVITIES), seed=0),
        eval_every=steps,
        save_every=steps,
    )
    run.run()
    matrix = score_matrix(read_records(folder / "evaluations.csv"), "known")
    print(f"{method:22}" + "".join(f"gravity {gravity:>4}" + "  " for gravity in ("10", "2.5")))
    for when, row in zip(("before training", "after gravity 10", "after gravity 2.5"), matrix, strict=True):
        print(f"  {when:18}" + "".join(f"{score:14.0f}" for score in row))
    print(f"  average {METRICS['ACC'](matrix):.0f}, backward transfer {METRICS['BWT'](matrix):+.0f}")


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--steps", type=int, default=5000, help="environment steps of each task")
    arguments = parser.parse_args(argv)
    for method in ("finetune", "packnet"):
        with tempfile.TemporaryDirectory() as folder:
            learn(method, arguments.steps, Path(folder))


if __name__ == "__main__":
    run_command(main)
