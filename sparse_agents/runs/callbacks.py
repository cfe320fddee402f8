"""Evaluation and checkpoints during a run, which a resumed run continues."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.errors import CheckpointError
from sparse_agents.runs import checkpoint
from sparse_agents.runs.environment_state import vec_env_state
from sparse_agents.runs.folder import RunFolder
from sparse_agents.runs.interrupts import StopRequest
from sparse_agents.runs.masks import evaluation_callback
from sparse_agents.runs.normalization import SaveStatistics
from sparse_agents.runs.run_state import restore_run


class CheckpointEvery(BaseCallback):
    """Writes a checkpoint every ``save_freq`` environment steps, and at the end so that a run can be prolonged.

    Where the environments' state can only be saved at the beginning of an episode, it waits for one, up to another
    ``save_freq`` steps.

    Args:
        folder: of the checkpoints of this run alone.
        save_freq: environment steps.
        others: the run's other callbacks, whose counters are saved.
    """

    def __init__(self, folder: Path, save_freq: int, others: Sequence[BaseCallback] = ()) -> None:
        super().__init__()
        self.folder = folder
        self.save_freq = save_freq
        self.others = tuple(others)
        self._next = 0

    def _on_training_start(self) -> None:
        checkpoint.check_unused(self.folder, self.num_timesteps)
        self._next = (self.num_timesteps // self.save_freq + 1) * self.save_freq

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """Between rollouts, when gradient steps and environment agree on the number of steps."""
        late = self.num_timesteps - self._next
        if late >= 0 and (late >= self.save_freq or self._environments_can_be_saved()):
            self._next = (self.num_timesteps // self.save_freq + 1) * self.save_freq
            self.save()

    def _on_training_end(self) -> None:
        self.save()

    def _environments_can_be_saved(self) -> bool:
        assert self.model.env is not None
        return None not in vec_env_state(self.model.env)["environments"]

    def save(self) -> Path:
        return checkpoint.save(self.model, self.folder, self.others)


class Continue(BaseCallback):
    """Puts a run's state back in place when training begins again: before the first rollout, after what
    ``learn()`` draws and resets on the way there.

    Args:
        state: as :func:`checkpoint.load` returns it.
        others: the run's other callbacks, in the order they were saved in.
    """

    def __init__(self, state: dict[str, Any], others: Sequence[BaseCallback]) -> None:
        super().__init__()
        self._state: dict[str, Any] | None = state
        self._others = tuple(others)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self._state is not None:
            restore_run(self.model, self._others, self._state)
            self._state = None


class SeedsEvaluation(BaseCallback):
    """Has every evaluation begin with the same episodes, whether the run was resumed or not. Goes before it.

    Args:
        evaluation: the callback that evaluates.
        seed: of its environment, anew at each evaluation.
    """

    def __init__(self, evaluation: EvalCallback, seed: int) -> None:
        super().__init__()
        self._evaluation = evaluation
        self.seed = seed

    def _on_step(self) -> bool:
        if (self._evaluation.n_calls + 1) % self._evaluation.eval_freq == 0:
            self._evaluation.eval_env.seed(self.seed)
        return True


class InterruptBetweenRollouts(BaseCallback):
    """Ctrl-C raises :class:`Interrupted` between rollouts, when weights, topology and buffer agree.

    A second one is obeyed at once, with a KeyboardInterrupt wherever that hits: the agent may be half way through an
    update then.
    """

    def __init__(self) -> None:
        super().__init__()
        self._request = StopRequest()

    def _on_training_start(self) -> None:
        self._request.listen()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._request.check()

    def _on_training_end(self) -> None:
        self._request.ignore()


def evaluation(
    folder: RunFolder, model: BaseAlgorithm, env: VecEnv, seed: int, eval_freq: int, episodes: int
) -> list[BaseCallback]:
    """Stable-Baselines3's evaluation, writing into a run folder, on the same episodes each time.

    Raises:
        CheckpointError: where the folder has a history that is damaged.
    """
    if folder.evaluations.is_file():
        try:
            with np.load(folder.evaluations) as history:
                history["timesteps"], history["results"], history["ep_lengths"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(f"{folder.evaluations} is damaged: {error}. Move it away to resume.") from error
    callback = evaluation_callback(model)(
        env,
        callback_on_new_best=SaveStatistics(folder.best_statistics),
        n_eval_episodes=episodes,
        eval_freq=eval_freq,
        log_path=str(folder.path),
        best_model_save_path=str(folder.path),
        verbose=0,
    )
    return [SeedsEvaluation(callback, seed), callback]
