"""A training run on disk: its folder, environments, evaluation and checkpoints."""

from sparse_agents.runs import checkpoint
from sparse_agents.runs.callbacks import CheckpointEvery, Continue, InterruptBetweenRollouts, evaluation
from sparse_agents.runs.disk import alone_in, atomic_file, read_yaml
from sparse_agents.runs.environment_state import KeepsState, episodes_written, goes_back
from sparse_agents.runs.environments import check_device, check_environment, evaluate, film, make_env
from sparse_agents.runs.folder import RunFolder
from sparse_agents.runs.interrupts import Interrupted, StopRequest
from sparse_agents.runs.literal import Literal
from sparse_agents.runs.logger import run_logger
from sparse_agents.runs.masks import check_masks
from sparse_agents.runs.noise import with_action_noise
from sparse_agents.runs.normalization import Normalization, save_statistics, with_statistics
from sparse_agents.runs.outputs import RecordFile, output_file, output_folder
from sparse_agents.runs.speed import gradient_step_seconds

__all__ = [
    "CheckpointEvery",
    "Continue",
    "InterruptBetweenRollouts",
    "Interrupted",
    "KeepsState",
    "Literal",
    "Normalization",
    "RecordFile",
    "RunFolder",
    "StopRequest",
    "alone_in",
    "atomic_file",
    "check_device",
    "check_environment",
    "check_masks",
    "checkpoint",
    "episodes_written",
    "evaluate",
    "evaluation",
    "film",
    "goes_back",
    "gradient_step_seconds",
    "make_env",
    "output_file",
    "output_folder",
    "read_yaml",
    "run_logger",
    "save_statistics",
    "with_action_noise",
    "with_statistics",
]
