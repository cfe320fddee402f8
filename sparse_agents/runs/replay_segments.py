"""The replay buffer's part of checkpoints: each writes what has been added since the one before.

Transitions are numbered from the beginning of the run, number ``n`` being row ``n % buffer_size``. A segment is a file
of consecutive ones that is never changed; a checkpoint names those it needs, and segments that no checkpoint names are
deleted. So a process can be killed at any moment, and a buffer of gigabytes is written once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from stable_baselines3.her import HerReplayBuffer

from sparse_agents.errors import CheckpointError
from sparse_agents.runs.disk import sync

FOLDER = "replay"
MOST = 64
"""So many segments, and the next checkpoint writes the buffer anew."""
PIECES = 16
"""A segment holds at most this part of the buffer, for that much memory is needed to write it,"""
ROWS = 1000
"""but always so many rows."""
APPENDED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
"""What a transition leaves behind in its row, to stay as it is."""
ONLY_APPEND = (ReplayBuffer, DictReplayBuffer, NStepReplayBuffer, HerReplayBuffer)
"""Exactly these: a buffer of one's own may change older rows, and is written whole."""


@dataclass(frozen=True)
class Segments:
    """What one checkpoint has of the buffer.

    Attributes:
        end: transitions so far.
        rows: of the buffer.
        names: of the files, the oldest first.
    """

    end: int
    rows: int
    names: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def write(buffer: ReplayBuffer, folder: Path, before: Segments | None, added: int) -> Segments:
    """Write what ``before`` lacks.

    Args:
        buffer: the replay buffer.
        folder: of all checkpoints.
        before: what the checkpoint before this one has.
        added: transitions of each environment since then.
    """
    filled = _filled(buffer)
    end = buffer.pos + (buffer.buffer_size if buffer.full else 0)
    names: list[str] = []
    if before is not None and _continues(buffer, before, added):
        # The last one once more: a run that was resumed may have ended its episode there.
        first, end = max(0, before.end - 1), before.end + added
        names = [name for name in before.names if _numbers(name)[1] > end - buffer.buffer_size]
    else:
        first = end - filled
    length = max(ROWS, math.ceil(buffer.buffer_size / PIECES))
    names += [_write_one(buffer, folder, begin, min(begin + length, end)) for begin in range(first, end, length)]
    return Segments(end, buffer.buffer_size, names)


def read(buffer: ReplayBuffer, folder: Path, segments: Segments) -> None:
    """Fill the rows of a buffer of the same size.

    Raises:
        CheckpointError: naming the file that is damaged or gone.
    """
    if segments.rows != buffer.buffer_size:
        raise CheckpointError(
            f"The replay buffer in {folder} has {segments.rows} rows, and this agent's {buffer.buffer_size}."
        )
    columns = _columns(buffer)
    for name in segments.names:
        path = folder / FOLDER / name
        try:
            arrays = load_file(path)
            first, _ = _numbers(name)
            for key, column in columns.items():
                values = arrays[key]
                column[np.arange(first, first + len(values)) % buffer.buffer_size] = values
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}.") from error


def forget(folder: Path, kept: Collection[str]) -> None:
    """Delete the segments but those."""
    for path in (folder / FOLDER).glob("*"):
        if path.name not in kept:
            os.unlink(path)


def other_state(buffer: ReplayBuffer) -> dict[str, Any]:
    """What changes in a buffer beside its columns: positions, episodes, and arrays that belong to a subclass."""
    columns = {key.partition("/")[0] for key in _columns(buffer)}
    plain = (int, bool, float, np.ndarray)
    return {name: value for name, value in vars(buffer).items() if isinstance(value, plain) and name not in columns}


def _write_one(buffer: ReplayBuffer, folder: Path, first: int, end: int) -> str:
    """The segment of these transitions; its name."""
    # With optimize_memory_usage the observation after the last transition is in the next row.
    rows = np.arange(first, end + int(buffer.optimize_memory_usage)) % buffer.buffer_size
    path = _unused(folder / FOLDER, first, end)
    save_file({key: column[rows] for key, column in _columns(buffer).items()}, path)
    sync(path)
    sync(path.parent)
    return path.name


def _unused(folder: Path, first: int, end: int) -> Path:
    """Another checkpoint may need a file of the same transitions, or a killed process may have left half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / f"{first}_{end}_{version}.safetensors" for version in count())
    return next(path for path in paths if not path.exists())


def _continues(buffer: ReplayBuffer, before: Segments, added: int) -> bool:
    return (
        type(buffer) in ONLY_APPEND
        and before.rows == buffer.buffer_size
        and 0 <= added < buffer.buffer_size
        and (before.end + added) % buffer.buffer_size == buffer.pos
        and len(before.names) < MOST
    )


def _filled(buffer: ReplayBuffer) -> int:
    return buffer.buffer_size if buffer.full else buffer.pos


def _columns(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    """Arrays with a row per transition; those of dictionaries as ``name/key``."""
    columns: dict[str, NDArray[Any]] = {}
    for name in APPENDED:
        value = vars(buffer).get(name)
        if isinstance(value, dict):
            columns |= {f"{name}/{key}": array for key, array in value.items()}
        elif value is not None and len(value) == buffer.buffer_size:
            columns[name] = value
    return columns


def _numbers(name: str) -> tuple[int, int]:
    """Of the first transition in a segment, and of the one after its last."""
    first, end, _ = name.split("_")
    return int(first), int(end)
