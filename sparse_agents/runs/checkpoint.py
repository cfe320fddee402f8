"""Checkpoints a killed run continues from.

A checkpoint is a folder ``step_<n>``: ``model.zip`` (Stable-Baselines3's own, which pickles: load none
from a stranger), ``state.safetensors`` (replay buffer and random generators) and ``state.json``. It is
written beside, synced and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.errors import CheckpointError

KEPT = 2
_FIELDS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_BUFFER = "buffer/"

Algorithm = TypeVar("Algorithm", bound=OffPolicyAlgorithm)


def save(model: OffPolicyAlgorithm, folder: Path) -> Path:
    """Write ``folder/step_<timesteps>``, and forget all but the newest two."""
    target = folder / f"step_{model.num_timesteps}"
    with _atomic_folder(target) as draft:
        model.save(draft / "model.zip")
        arrays, state = _buffer_state(model.replay_buffer)
        arrays["rng/torch"] = torch.get_rng_state().numpy()
        name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
        arrays["rng/numpy"] = np.asarray(keys)
        state["numpy"] = [str(name), int(position), int(has_gauss), float(cached)]
        state["python"] = random.getstate()
        state["timesteps"] = model.num_timesteps
        save_file(arrays, draft / "state.safetensors")
        (draft / "state.json").write_text(json.dumps(state))
    for old in _all(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def latest(folder: Path) -> Path:
    """The newest checkpoint.

    Raises:
        CheckpointError: when there is none.
    """
    found = _all(folder)
    if not found:
        raise CheckpointError(f"{folder} holds no checkpoint to resume from. Start the run anew, with --save-freq set.")
    return found[-1]


def load(path: Path, algorithm: type[Algorithm], env: VecEnv) -> Algorithm:
    """The algorithm as it was when the checkpoint was written, random generators included.

    The environment starts a new episode: its own state is not part of a checkpoint.

    Raises:
        CheckpointError: naming the damaged file.
    """
    try:
        state: dict[str, Any] = json.loads((path / "state.json").read_text())
        arrays = load_file(path / "state.safetensors")
        model = load_model(path / "model.zip", algorithm, env)
        _restore_buffer(model, arrays, state)
        name, position, has_gauss, cached = state["numpy"]
        torch.set_rng_state(torch.from_numpy(arrays["rng/torch"]))
        np.random.set_state((name, arrays["rng/numpy"], position, has_gauss, cached))  # noqa: NPY002
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
    except (OSError, json.JSONDecodeError, SafetensorError, KeyError, ValueError) as error:
        others = [p.name for p in _all(path.parent) if p != path]
        hint = f" Remove {path} to resume from {others[-1]}." if others else ""
        raise CheckpointError(f"Checkpoint {path} is damaged: {error}.{hint}") from error
    return model


def load_model(path: Path, algorithm: type[Algorithm], env: VecEnv | None) -> Algorithm:
    """A Stable-Baselines3 zip, with one clear error where it is none, cut short, or of another algorithm."""
    if not path.is_file():
        raise CheckpointError(f"There is no model at {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"{path} is not a model, or was cut short: {error}.") from error
    if damaged or not {"data", "policy.pth"} <= names:
        raise CheckpointError(f"{path} is damaged or not a Stable-Baselines3 model.")
    try:
        return algorithm.load(path, env=env, device="cpu")
    except (RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} does not load as {algorithm.__name__}: {error}") from error


def _all(folder: Path) -> list[Path]:
    complete = [p for p in folder.glob("step_*") if p.name.removeprefix("step_").isdigit()]
    return sorted(complete, key=lambda p: int(p.name.removeprefix("step_")))


@contextmanager
def _atomic_folder(target: Path) -> Iterator[Path]:
    draft = target.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    for file in draft.iterdir():
        _sync(file)
    _sync(draft)
    if target.exists():
        shutil.rmtree(target)
    draft.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _filled(buffer: ReplayBuffer) -> int:
    return buffer.buffer_size if buffer.full else buffer.pos


def _columns(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    """The buffer's arrays by name; dictionary observations as ``observations/<key>``."""
    columns: dict[str, NDArray[Any]] = {}
    for field in _FIELDS:
        value = vars(buffer).get(field)
        if isinstance(value, dict):
            columns |= {f"{field}/{key}": array for key, array in value.items()}
        elif value is not None:
            columns[field] = value
    return columns


def _buffer_state(buffer: ReplayBuffer | None) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    assert buffer is not None
    n = _filled(buffer)
    arrays = {_BUFFER + name: np.ascontiguousarray(column[:n]) for name, column in _columns(buffer).items()}
    return arrays, {"pos": buffer.pos, "full": buffer.full}


def _restore_buffer(model: OffPolicyAlgorithm, arrays: dict[str, NDArray[Any]], state: dict[str, Any]) -> None:
    buffer = model.replay_buffer
    assert buffer is not None
    buffer.pos, buffer.full = int(state["pos"]), bool(state["full"])
    for name, column in _columns(buffer).items():
        column[: _filled(buffer)] = arrays[_BUFFER + name]
