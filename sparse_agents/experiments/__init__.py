"""Many runs of small problems: which are done, which are left, and what they say together."""

from sparse_agents.experiments.contenders import CONTENDERS, Contender
from sparse_agents.experiments.digits import digits_accuracy
from sparse_agents.experiments.grid import run_grid
from sparse_agents.experiments.intervals import Interval, mean_interval
from sparse_agents.experiments.pendulum import pendulum_return

__all__ = [
    "CONTENDERS",
    "Contender",
    "Interval",
    "digits_accuracy",
    "mean_interval",
    "pendulum_return",
    "run_grid",
]
