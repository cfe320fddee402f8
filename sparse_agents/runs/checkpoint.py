"""Checkpoints a killed run continues from, bit for bit.

A checkpoint is a folder ``step_<n>``: ``model.zip`` (Stable-Baselines3's own), ``run.pkl`` (environments, generators,
counters) and ``state.json``, which names the segments of the replay buffer, kept beside in ``replay``. It is written
elsewhere, synced and renamed, so that it is there whole or not at all. The zip and ``run.pkl`` are pickles, which can
execute anything when they are loaded: load none from a stranger.
"""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
from safetensors import SafetensorError
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.her import HerReplayBuffer

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import replay_segments
from sparse_agents.runs.disk import atomic_folder
from sparse_agents.runs.environment_state import goes_back
from sparse_agents.runs.replay_segments import Segments
from sparse_agents.runs.run_state import restore_generators, run_state

KEPT = 2
FORMAT = 3

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
    facts: dict[str, Any] = {"format": FORMAT, "timesteps": model.num_timesteps}
    buffer = _replay_buffer(model)
    if buffer is not None:
        facts["replay"] = _write_buffer(model, buffer, folder).as_dict()
        state["buffer"] = replay_segments.other_state(buffer)
    with atomic_folder(target) as draft:
        model.save(draft / "model.zip")
        (draft / "run.pkl").write_bytes(cloudpickle.dumps(state))
        (draft / "state.json").write_text(json.dumps(facts))
    for old in [*_all(folder)[:-KEPT], *folder.glob("step_*.draft"), *folder.glob("step_*.old")]:
        shutil.rmtree(old)
    replay_segments.forget(folder, {name for path in _all(folder) for name in _segment_names(path)})
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


def check_unused(folder: Path, timesteps: int) -> None:
    """Raises ConfigurationError where checkpoints in ``folder`` are ahead of a run, and so belong to another one."""
    found = _all(folder)
    if found and _steps(found[-1]) > timesteps:
        raise ConfigurationError(
            f"{folder} has {found[-1].name} already, and this run is at step {timesteps}: give each run a folder of "
            "its own, or load that checkpoint to go on from it."
        )


def load(path: Path, algorithm: type[Algorithm], env: VecEnv, device: str = "cpu") -> tuple[Algorithm, dict[str, Any]]:
    """The agent as it was when the checkpoint was written, and the state that :class:`Continue` puts back in place.

    Raises:
        CheckpointError: naming the damaged file.
    """
    try:
        facts: dict[str, Any] = json.loads((path / "state.json").read_text())
        if facts["format"] != FORMAT:
            raise ValueError(f"it is of format {facts['format']}, and this version reads {FORMAT}")
        state: dict[str, Any] = pickle.loads((path / "run.pkl").read_bytes())
        reset = not goes_back(state["environment"])
        model = load_model(path / "model.zip", algorithm, env, force_reset=reset, device=device)
        buffer = _replay_buffer(model)
        if buffer is not None:
            replay_segments.read(buffer, path.parent, Segments(**facts["replay"]))
            vars(buffer).update(state["buffer"])
            if reset:
                _end_episodes(buffer)
        restore_generators(state)
    except (
        CheckpointError, OSError, EOFError, json.JSONDecodeError, pickle.UnpicklingError, SafetensorError,
        KeyError, IndexError, ValueError, TypeError, AttributeError, ImportError,
    ) as error:  # fmt: skip
        others = [p.name for p in _all(path.parent) if p != path]
        hint = f" Remove {path} to resume from {others[-1]}." if others else ""
        raise CheckpointError(f"Checkpoint {path} is damaged: {error}.{hint}") from error
    return model, state


def load_model(
    path: Path, algorithm: type[Algorithm], env: VecEnv | None, force_reset: bool = True, device: str = "cpu"
) -> Algorithm:
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
            return algorithm.load(path, env=env, device=device, force_reset=force_reset)
    except (RuntimeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"{path} does not load as {algorithm.__name__}. Was it trained by another algorithm? ({error})"
        ) from error


def _all(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("step_*") if p.name.removeprefix("step_").isdigit()), key=_steps)


def _steps(path: Path) -> int:
    return int(path.name.removeprefix("step_"))


def _replay_buffer(model: BaseAlgorithm) -> ReplayBuffer | None:
    return model.replay_buffer if isinstance(model, OffPolicyAlgorithm) else None


def _end_episodes(buffer: ReplayBuffer) -> None:
    """The newest transitions are the last ones of their episodes, for others begin."""
    if not buffer.full and buffer.pos == 0:
        return
    row = buffer.pos - 1
    if isinstance(buffer, HerReplayBuffer):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The last trajectory in the replay buffer will be truncated")
            buffer.truncate_last_trajectory()
    elif buffer.optimize_memory_usage:
        buffer.dones[row] = True  # as in Stable-Baselines3: it finds the successor in the next row
    else:
        buffer.timeouts[row] = buffer.dones[row] == 0


def _write_buffer(model: BaseAlgorithm, buffer: ReplayBuffer, folder: Path) -> Segments:
    """What the newest checkpoint has, if it is of this run, need not be written again."""
    found = _all(folder)
    before: dict[str, Any] = _facts(found[-1]) if found else {}
    segments = Segments(**before["replay"]) if "replay" in before else None
    added = (model.num_timesteps - before.get("timesteps", 0)) // buffer.n_envs
    return replay_segments.write(buffer, folder, segments, added)


def _segment_names(path: Path) -> Sequence[str]:
    names: Sequence[str] = _facts(path).get("replay", {}).get("names", ())
    return names


def _facts(path: Path) -> dict[str, Any]:
    """Of a checkpoint; none where it is damaged, which :func:`load` tells."""
    try:
        facts = json.loads((path / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and facts.get("format") == FORMAT else {}
