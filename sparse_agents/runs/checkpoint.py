"""Checkpoints a killed run continues from, bit for bit.

A checkpoint is a folder ``step_<n>``: ``model.zip`` (Stable-Baselines3's own), ``buffer.safetensors`` (what was
replayed), ``run.pkl`` (environments, generators, counters) and ``state.json``. It is written beside, synced and
renamed, so that it is there whole or not at all. The zip and ``run.pkl`` are pickles, which can execute anything when
they are loaded: load none from a stranger.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sparse_agents.errors import CheckpointError
from sparse_agents.runs.run_state import restore_generators, run_state

KEPT = 2
FORMAT = 2

Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)


def save(model: BaseAlgorithm, folder: Path, callbacks: Sequence[BaseCallback] = ()) -> Path:
    """Write ``folder/step_<timesteps>``, and forget all but the newest two. To be called between rollouts.

    Args:
        model: the agent.
        folder: of all checkpoints of the run.
        callbacks: whose counters and histories are to go on, in the order a resumed run will have them in.
    """
    target = folder / f"step_{model.num_timesteps}"
    state = run_state(model, callbacks)
    with _atomic_folder(target) as draft:
        model.save(draft / "model.zip")
        if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
            columns, state["buffer"] = _split(model.replay_buffer)
            filled = _filled(model.replay_buffer)
            save_file({k: np.ascontiguousarray(v[:filled]) for k, v in columns.items()}, draft / "buffer.safetensors")
        (draft / "run.pkl").write_bytes(cloudpickle.dumps(state))
        (draft / "state.json").write_text(json.dumps({"format": FORMAT, "timesteps": model.num_timesteps}))
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


def load(path: Path, algorithm: type[Algorithm], env: VecEnv) -> tuple[Algorithm, dict[str, Any]]:
    """The agent as it was when the checkpoint was written, and the state that :class:`Continue` puts back in place.

    Raises:
        CheckpointError: naming the damaged file.
    """
    try:
        facts: dict[str, Any] = json.loads((path / "state.json").read_text())
        if facts["format"] != FORMAT:
            raise ValueError(f"it is of format {facts['format']}, and this version reads {FORMAT}")
        state: dict[str, Any] = pickle.loads((path / "run.pkl").read_bytes())
        model = load_model(path / "model.zip", algorithm, env, force_reset=None in state["environment"]["environments"])
        if "buffer" in state:
            _restore_buffer(model, load_file(path / "buffer.safetensors"), state["buffer"])
        restore_generators(state)
    except (
        OSError, EOFError, json.JSONDecodeError, pickle.UnpicklingError, SafetensorError,
        KeyError, IndexError, ValueError, TypeError, AttributeError, ImportError,
    ) as error:  # fmt: skip
        others = [p.name for p in _all(path.parent) if p != path]
        hint = f" Remove {path} to resume from {others[-1]}." if others else ""
        raise CheckpointError(f"Checkpoint {path} is damaged: {error}.{hint}") from error
    return model, state


def load_model(path: Path, algorithm: type[Algorithm], env: VecEnv | None, force_reset: bool = True) -> Algorithm:
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
        with warnings.catch_warnings():
            # Stable-Baselines3 warns of the replay buffer that it has chosen itself when the agent was made.
            warnings.filterwarnings("ignore", r"`n_steps=\d+` is ignored .*NStepReplayBuffer")
            return algorithm.load(path, env=env, device="cpu", force_reset=force_reset)
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


def _split(buffer: ReplayBuffer) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays with a row per transition, dictionaries of them as ``name/key``; and all else that changes."""
    columns: dict[str, NDArray[Any]] = {}
    rest: dict[str, Any] = {}
    for name, value in vars(buffer).items():
        arrays = {f"{name}/{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        if arrays and all(_is_column(array, buffer) for array in arrays.values()):
            columns |= arrays
        elif isinstance(value, int | bool | float | np.ndarray):
            rest[name] = value
    return columns, rest


def _is_column(value: Any, buffer: ReplayBuffer) -> bool:
    return isinstance(value, np.ndarray) and len(value) == buffer.buffer_size and value.dtype != object


def _restore_buffer(model: BaseAlgorithm, arrays: dict[str, NDArray[Any]], rest: dict[str, Any]) -> None:
    assert isinstance(model, OffPolicyAlgorithm)
    buffer = model.replay_buffer
    assert buffer is not None
    vars(buffer).update(rest)
    for name, column in _split(buffer)[0].items():
        column[: _filled(buffer)] = arrays[name]
