"""Runs a method over a sequence of tasks, and goes on with a run that was stopped."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from sparse_agents.continual.learner import Learner
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.metrics import average_score, backward_transfer
from sparse_agents.continual.records import BETWEEN, Evaluation, LayerUse, Records, read_records, score_matrix
from sparse_agents.errors import CheckpointError
from sparse_agents.runs import StopRequest, atomic_file


class SequenceRun:
    """One run in one folder: ``evaluations.csv``, ``capacity.csv``, ``checkpoint.pt``, ``tb/``.

    Args:
        folder: of this run alone.
        make_learner: given what a learner has saved, None for a new run.
        make_method: of the learner.
        eval_every: steps between evaluations of all tasks while one is trained; at both ends of a task there is always
            one.
        save_every: steps between checkpoints.
        progress: called with the number of steps that are done, of all tasks.
        device: that the learner's networks are on.
    """

    def __init__(
        self,
        folder: Path,
        make_learner: Callable[[Mapping[str, Any] | None], Learner],
        make_method: Callable[[Learner], ContinualMethod],
        *,
        eval_every: int,
        save_every: int,
        progress: Callable[[int], None] = lambda steps: None,
        device: str = "cpu",
    ) -> None:
        self.folder = folder
        self.eval_every, self.save_every = eval_every, save_every
        self._progress = progress
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = _checkpoint_of(folder)
        self.learner, self.method, rows = open_run(folder, make_learner, make_method, device)
        self._last = self.learner.step
        self.records = Records(folder / "evaluations.csv", Evaluation, rows["evaluations"])
        self.capacity = Records(folder / "capacity.csv", LayerUse, rows["capacity"])
        self._board = SummaryWriter(
            str(folder / "tb"), purge_step=self._steps() if self._checkpoint.is_file() else None
        )

    def run(self) -> None:
        """To the end of the last task.

        Raises:
            Interrupted: after Ctrl-C, what was done being saved.
        """
        stop = StopRequest()
        stop.listen()

        def between(step: int) -> None:
            self._progress(self._steps())
            if step // self.eval_every > self._last // self.eval_every:
                self._evaluate(self.method.task)
            due = step // self.save_every > self._last // self.save_every
            self._last = step
            if due:
                self._save()
            try:
                stop.check()
            except KeyboardInterrupt:
                self._save()
                raise

        try:
            if self.method.task < 0:
                self.method.prepare()
                self._evaluate(BETWEEN)
            while not self.done():
                if self.method.finished:
                    self.method.begin_task(self.method.task + 1)
                    self._last = 0
                self.learner.learn(self.method, between)
                self.method.end_task()
                self._evaluate(BETWEEN)
                self._save()
        finally:
            stop.ignore()
            self._board.close()

    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self.method.finished and self.method.task == len(self.learner.tasks) - 1

    def _steps(self) -> int:
        """Of the whole sequence."""
        done = self.method.task + 1 if self.method.finished else self.method.task
        return done * self.learner.length + self.learner.step

    def _evaluate(self, training: int) -> None:
        learned = self.method.task + 1 if self.method.finished else self.method.task
        step = self._steps()
        for identity, scores in self.learner.scores(self.method).items():
            self.records.add(
                [Evaluation(step, learned, training, task, identity, score) for task, score in enumerate(scores)]
            )
            for name, score in zip(self.learner.tasks, scores, strict=True):
                self._board.add_scalar(f"eval_{identity}/{name}", score, step)
        if training == BETWEEN:
            self._summarise(step, learned)

    def _summarise(self, step: int, learned: int) -> None:
        """Of the tasks learned so far, as if they were all."""
        capacities = self.method.capacity().items()
        self.capacity.add([LayerUse(step, learned, layer, **vars(capacity)) for layer, capacity in capacities])
        for layer, capacity in capacities:
            for what, count in vars(capacity).items():
                self._board.add_scalar(f"capacity/{layer}/{what}", count, step)
        if learned == 0:
            return
        table = read_records(self.records.path)
        for identity in table["identity"].unique():
            matrix = score_matrix(table, identity)[: learned + 1, :learned]
            self._board.add_scalar(f"cl_{identity}/ACC", average_score(matrix), step)
            self._board.add_scalar(f"cl_{identity}/BWT", backward_transfer(matrix), step)

    def _save(self) -> None:
        state = {
            "learner": self.learner.save(self.folder),
            "method": self.method.get_extra_state(),
            "rows": {"evaluations": self.records.rows, "capacity": self.capacity.rows},
        }
        with atomic_file(self._checkpoint) as draft:
            torch.save(state, draft)


def open_run(
    folder: Path,
    make_learner: Callable[[Mapping[str, Any] | None], Learner],
    make_method: Callable[[Learner], ContinualMethod],
    device: str = "cpu",
) -> tuple[Learner, ContinualMethod, Mapping[str, int]]:
    """A learner and a method as the run in a folder has left them, and the rows its records had; new ones where there
    is none yet. What was saved is put on the ``device`` that the learner's networks are on.

    Raises:
        CheckpointError: where its checkpoint is damaged.
    """
    path = _checkpoint_of(folder)
    saved = _read(path, device) if path.is_file() else None
    learner = make_learner(None if saved is None else saved["learner"])
    method = make_method(learner)
    if saved is None:
        return learner, method, {"evaluations": 0, "capacity": 0}
    method.set_extra_state(saved["method"])
    return learner, method, saved["rows"]


def _checkpoint_of(folder: Path) -> Path:
    return folder / "checkpoint.pt"


def _read(path: Path, device: str) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        return {name: state[name] for name in ("learner", "method", "rows")}
    except (OSError, EOFError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"Checkpoint {path} is damaged: {error}. Remove the folder to start anew.") from error
