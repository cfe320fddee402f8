"""Stable-Baselines3's logger for a run folder."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat, make_output_format
from torch.utils.tensorboard import SummaryWriter


class _TensorBoard(TensorBoardOutputFormat):
    """Has TensorBoard forget what a killed process had written beyond the checkpoint that the run goes on from."""

    def __init__(self, folder: Path, first_step: int | None) -> None:
        self.writer = SummaryWriter(str(folder), purge_step=first_step)
        self._is_closed = False


def run_logger(folder: Path, table: bool, resumed_at: int | None = None) -> Logger:
    """Writes TensorBoard's files, and a table to the terminal if wanted.

    Args:
        folder: of TensorBoard's files.
        table: whether to print.
        resumed_at: timesteps of the checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outputs: list[KVWriter] = [_TensorBoard(folder, None if resumed_at is None else resumed_at + 1)]
    if table:
        outputs.append(make_output_format("stdout", str(folder)))
    logger = Logger(str(folder), outputs)
    logger.log(f"Logging to {folder}")
    return logger
