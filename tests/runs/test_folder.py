from __future__ import annotations

from pathlib import Path

import pytest

from sparse_agents.errors import SparseAgentsError
from sparse_agents.runs import RunFolder


def test_numbers_go_up_and_settings_come_back(tmp_path: Path) -> None:
    first = RunFolder.create(tmp_path, "td3", "Pendulum-v1")
    second = RunFolder.create(tmp_path, "td3", "Pendulum-v1")
    assert (first.path.name, second.path.name) == ("Pendulum-v1_1", "Pendulum-v1_2")
    second.write_settings({"env": "Pendulum-v1", "seed": 3}, {"policy": "SparseMlpPolicy"})
    opened = RunFolder.open(second.path)
    assert opened == second
    assert opened.read_settings() == {"env": "Pendulum-v1", "seed": 3, "env_kwargs": None}
    assert (second.path / "Pendulum-v1" / "config.yml").is_file()


def test_namespaced_environments_make_one_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "td3", "ALE/Pong-v5")
    folder.write_settings({"env": "ALE/Pong-v5"}, {})
    assert folder.path == tmp_path / "td3" / "ALE-Pong-v5_1"
    assert RunFolder.open(folder.path).env_id == "ALE/Pong-v5"


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a run folder"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("content", ["", "just text", "a: [1", "seed: 3"])
def test_damaged_settings(content: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "td3", "Pendulum-v1")
    (folder.settings / "args.yml").write_text(content)
    with pytest.raises(SparseAgentsError, match=r"args.yml"):
        RunFolder.open(folder.path)


def test_the_latest_run_has_the_highest_number(tmp_path: Path) -> None:
    assert RunFolder.latest(tmp_path) is None
    for seed in range(11):
        run = RunFolder.create(tmp_path, "td3", "Pendulum-v1")
        run.write_arguments({"env": "Pendulum-v1", "seed": seed})
    latest = RunFolder.latest(tmp_path)
    assert latest is not None
    assert latest.read_settings()["seed"] == 10  # _11, which comes before _2 in the alphabet
