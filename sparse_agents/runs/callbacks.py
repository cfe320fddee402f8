"""Evaluation and checkpoints during a run, which a resumed run continues."""

from __future__ import annotations

import signal
import zipfile
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.errors import CheckpointError
from sparse_agents.runs import checkpoint
from sparse_agents.runs.folder import RunFolder


class CheckpointEvery(BaseCallback):
    """Writes a checkpoint every ``save_freq`` environment steps, and at the end so that a run can be prolonged."""

    def __init__(self, folder: Path, save_freq: int) -> None:
        super().__init__()
        self.folder = folder
        self.save_freq = save_freq
        self._next = 0

    def _on_training_start(self) -> None:
        self._next = (self.num_timesteps // self.save_freq + 1) * self.save_freq

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """Between rollouts, when gradient steps and environment agree on the number of steps."""
        if self.num_timesteps >= self._next:
            self._next += self.save_freq
            self._save()

    def _on_training_end(self) -> None:
        self._save()

    def _save(self) -> None:
        assert isinstance(self.model, OffPolicyAlgorithm)
        checkpoint.save(self.model, self.folder)


class InterruptBetweenRollouts(BaseCallback):
    """Ctrl-C takes effect between rollouts, when weights, topology and buffer agree; a second one at once."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._before: Any = None

    def _on_training_start(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self._asked:
            raise KeyboardInterrupt

    def _on_training_end(self) -> None:
        self._restore()

    def _restore(self) -> None:
        signal.signal(signal.SIGINT, self._before)


def evaluation(folder: RunFolder, env: VecEnv, eval_freq: int, episodes: int) -> EvalCallback:
    """Stable-Baselines3's evaluation, continuing the history a run folder already has."""
    callback = EvalCallback(
        env,
        n_eval_episodes=episodes,
        eval_freq=eval_freq,
        log_path=str(folder.path),
        best_model_save_path=str(folder.path),
        verbose=0,
    )
    if folder.evaluations.is_file():
        try:
            with np.load(folder.evaluations) as history:
                callback.evaluations_timesteps = history["timesteps"].tolist()
                callback.evaluations_results = history["results"].tolist()
                callback.evaluations_length = history["ep_lengths"].tolist()
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{folder.evaluations} is damaged: {error}. Move it away to resume.") from error
        if callback.evaluations_results:
            callback.best_mean_reward = float(np.max(np.mean(callback.evaluations_results, axis=1)))
    return callback
