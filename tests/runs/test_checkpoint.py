from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sb3_helpers import build, fill, train
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.runs import CheckpointEvery, checkpoint

SPARSE = {"net_arch": [16, 16], "sparsity": 0.7, "topology_kwargs": {"update_interval": 4, "drop_fraction": 0.3}}


def env() -> VecEnv:
    from sb3_helpers import Still

    return DummyVecEnv([Still])


def make(kind: type = TD3, steps: int = 10) -> Any:
    model = build(kind, policy_kwargs=SPARSE)
    train(model, steps)
    model.num_timesteps = steps
    return model


@pytest.mark.parametrize("kind", [TD3, SAC])
def test_gradient_steps_after_loading_are_those_without_interruption(kind: type, tmp_path: Path) -> None:
    model = make(kind)
    checkpoint.save(model, tmp_path)
    model.train(9, 32)
    after = (np.random.rand(), torch.rand(1).item(), random.random())  # noqa: NPY002
    loaded, _state = checkpoint.load(checkpoint.latest(tmp_path), kind, env())
    loaded.set_logger(model.logger)
    loaded.train(9, 32)
    for a, b in zip(model.policy.parameters(), loaded.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert after == (np.random.rand(), torch.rand(1).item(), random.random())  # noqa: NPY002
    assert (loaded.replay_buffer.pos, loaded.replay_buffer.full) == (600, False)


def test_newest_two_are_kept(tmp_path: Path) -> None:
    model = make()
    for steps in (5, 100, 20):
        model.num_timesteps = steps
        checkpoint.save(model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["replay", "step_100", "step_20"]
    assert checkpoint.latest(tmp_path).name == "step_100"


def test_a_draft_left_by_a_killed_process_is_ignored_and_removed(tmp_path: Path) -> None:
    model = make()
    checkpoint.save(model, tmp_path)
    (tmp_path / "step_99.draft").mkdir()
    assert checkpoint.latest(tmp_path).name == "step_10"
    checkpoint.save(model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["replay", "step_10"]


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    """Its newer checkpoints would be resumed from, and its replay buffer taken for ours."""
    checkpoint.save(make(), tmp_path)
    model = build(TD3, policy_kwargs=SPARSE)
    with pytest.raises(ConfigurationError, match="has step_10 already, and this run is at step 0"):
        model.learn(5, callback=CheckpointEvery(tmp_path, 100))
    model.num_timesteps = 10
    model.learn(5, callback=CheckpointEvery(tmp_path, 100), reset_num_timesteps=False)


@pytest.mark.parametrize("write", ["sparse_agents.runs.replay_segments.save_file", "sparse_agents.runs.disk.sync"])
def test_a_failing_write_keeps_what_was_saved(write: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    checkpoint.save(model, tmp_path)
    model.num_timesteps += 10

    def fail(*args: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(write, fail)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(model, tmp_path)
    monkeypatch.undo()
    checkpoint.load(checkpoint.latest(tmp_path), TD3, env())


@pytest.mark.parametrize("name", ["model.zip", "run.pkl", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "foreign", "missing", "empty"])
def test_damage_is_named_and_an_older_checkpoint_offered(name: str, damage: str, tmp_path: Path) -> None:
    model = make()
    checkpoint.save(model, tmp_path)
    model.num_timesteps = 20
    path = checkpoint.save(model, tmp_path)
    file = path / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"truncated": content[: len(content) // 2], "foreign": b"hello " * 50, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"step_20 is damaged: .* Remove .*step_20 to resume from step_10\."):
        checkpoint.load(checkpoint.latest(tmp_path), TD3, env())
    assert (tmp_path / "step_10" / "model.zip").is_file()


def test_a_damaged_segment_is_named_and_an_older_checkpoint_offered(tmp_path: Path) -> None:
    model = make()
    checkpoint.save(model, tmp_path)
    model.num_timesteps = 20
    fill(model, 10)
    checkpoint.save(model, tmp_path)
    (tmp_path / "replay" / "599_610_0.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"599_610_0.safetensors is damaged: .* to resume from step_10\."):
        checkpoint.load(checkpoint.latest(tmp_path), TD3, env())
    shutil.rmtree(tmp_path / "step_20")
    checkpoint.load(checkpoint.latest(tmp_path), TD3, env())


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint.latest(tmp_path)


def test_model_of_another_algorithm(tmp_path: Path) -> None:
    make(SAC).save(tmp_path / "sac.zip")
    with pytest.raises(CheckpointError, match=r"sac.zip does not load as TD3"):
        checkpoint.load_model(tmp_path / "sac.zip", TD3, env())


def test_damaged_topology_inside_a_sound_zip(tmp_path: Path) -> None:
    """Indices out of range must not reach the kernels."""
    model = make()
    topology = model.actor.mu[2].topology
    broken = topology.col.clone()
    broken[3] = 10_000
    topology.col = broken
    model.save(tmp_path / "broken.zip")
    with pytest.raises(CheckpointError, match=r"actor.mu.2.topology: a column outside"):
        checkpoint.load_model(tmp_path / "broken.zip", TD3, env())
