"""Sequences of tasks, and methods that learn them without forgetting."""

from sparse_agents.continual.agents.learner import AgentLearner, AgentTraining
from sparse_agents.continual.agents.sequences import environment_sequence
from sparse_agents.continual.companions import COMPANIONS, Companion
from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.methods import METHODS, make_method
from sparse_agents.continual.metrics import METRICS
from sparse_agents.continual.records import read_records, score_matrix
from sparse_agents.continual.runner import SequenceRun
from sparse_agents.continual.supervised.learner import Classifier, Training
from sparse_agents.continual.supervised.sequences import classification_sequence

__all__ = [
    "COMPANIONS",
    "METHODS",
    "METRICS",
    "AgentLearner",
    "AgentTraining",
    "Classifier",
    "Companion",
    "ContinualMethod",
    "Learner",
    "SequenceRun",
    "Training",
    "classification_sequence",
    "environment_sequence",
    "make_method",
    "read_records",
    "score_matrix",
]
