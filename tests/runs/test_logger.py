"""TensorBoard shows a resumed run as one that was never killed."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.logger import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparse_agents.runs import run_logger


def write(logger: Logger, values: dict[int, float]) -> None:
    for step, value in values.items():
        logger.record("reward", value)
        logger.dump(step)
    logger.close()


def test_what_was_written_beyond_the_checkpoint_is_forgotten(tmp_path: Path) -> None:
    write(run_logger(tmp_path, table=False), {100: 1.0, 200: 2.0, 300: 3.0, 400: 4.0})
    write(run_logger(tmp_path, table=False, resumed_at=200), {290: 30.0, 500: 5.0})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("reward")] == [(100, 1), (200, 2), (290, 30), (500, 5)]
