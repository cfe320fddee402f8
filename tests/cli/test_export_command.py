"""The export command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from commands import run_here
from stable_baselines3 import TD3

from sparse_agents import DSTD3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "agent.zip"
    DSTD3(
        "SparseMlpPolicy", "Pendulum-v1", policy_kwargs={"net_arch": [16], "sparsity": 0.5}, buffer_size=10, seed=0
    ).save(path)
    return path


def export(model: Path, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    agent = [str(model), "--algo", "ds_td3", "--env", "Pendulum-v1", "--out", str(out)]
    return run_here("export", *agent, *flags, cwd=Path.cwd())


def test_a_dense_agent_needs_stable_baselines3_alone(model: Path, tmp_path: Path) -> None:
    done = export(model, tmp_path / "new" / "folder", "--format", "dense-sb3", "--json")
    assert done.returncode == 0, done.stderr
    (file,) = json.loads(done.stdout)["files"]
    dense, sparse = TD3.load(file), DSTD3.load(model)
    assert type(dense.policy).__module__.startswith("stable_baselines3")
    seen = np.stack([sparse.observation_space.sample() for _ in range(20)])
    np.testing.assert_allclose(dense.predict(seen, deterministic=True)[0], sparse.predict(seen, deterministic=True)[0],
                               atol=1e-6)  # fmt: skip


def test_files_are_told_with_their_sizes(model: Path, tmp_path: Path) -> None:
    done = export(model, tmp_path, "--format", "c", "--name", "pendulum")
    assert done.returncode == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"pendulum.c", "pendulum.h"}
    assert f"{(tmp_path / 'pendulum.c').stat().st_size:,} bytes" in done.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--format", "cc"], "Unknown format 'cc'. Did you mean 'c'"),
        (["--format", "c", "--name", "my agent"], "letters, digits and underscores"),
        (["--name", "../agent"], "is not the name of a file"),
        (["--out", "/proc/nowhere"], "--out /proc/nowhere"),
    ],
)
def test_bad_input(model: Path, tmp_path: Path, flags: list[str], says: str) -> None:
    done = export(model, tmp_path, *flags)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
