"""A table of runs survives being stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sparse_agents import CheckpointError
from sparse_agents.experiments import run_grid

JOBS = [{"name": name, "seed": seed} for name in ("one", "two") for seed in (0, 1)]


def length(name: str, seed: int) -> dict[str, Any]:
    """What the processes run."""
    return {"length": len(name) + seed, "process": os.getpid()}


def never(name: str, seed: int) -> dict[str, Any]:
    raise AssertionError(f"{name} {seed} was done already")


def fails(name: str, seed: int) -> dict[str, Any]:
    if name == "two":
        raise ValueError("no luck")
    return length(name, seed)


def test_rows_come_in_the_order_of_the_jobs(tmp_path: Path) -> None:
    rows = run_grid(JOBS, length, tmp_path / "new" / "t.csv", ["length", "process"], workers=2)
    assert [(r["name"], r["seed"], r["length"]) for r in rows] == [
        ("one", "0", "3"), ("one", "1", "4"), ("two", "0", "3"), ("two", "1", "4"),
    ]  # fmt: skip
    assert str(os.getpid()) not in {r["process"] for r in rows}


def table(tmp_path: Path) -> Path:
    """As a run leaves it."""
    path = tmp_path / "t.csv"
    rows = [f"{job['name']},{job['seed']},{len(job['name']) + job['seed']},1" for job in JOBS]
    path.write_text("\n".join(["name,seed,length,process", *rows]) + "\n")
    return path


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    path = table(tmp_path)
    rows = run_grid(JOBS, never, path, ["length", "process"])
    assert [row["length"] for row in rows] == ["3", "4", "3", "4"]
    assert len(run_grid(JOBS[:1], never, path, ["length", "process"])) == 1


def test_a_line_cut_short_is_run_again(tmp_path: Path) -> None:
    path = table(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]) + lines[3][:5])
    assert len(run_grid(JOBS, length, path, ["length", "process"])) == 4
    assert len(path.read_text().splitlines()) == 5


def test_a_failing_run_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(ValueError, match="no luck"):
        run_grid(JOBS, fails, path, ["length", "process"])
    assert len(run_grid(JOBS, length, path, ["length", "process"])) == 4


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(CheckpointError, match="columns a, b, not name, seed, length"):
        run_grid(JOBS, length, path, ["length", "process"])
    assert path.read_text() == "a,b\n1,2\n"


INTERRUPTED = """
import os, sys, time
from sparse_agents.experiments import run_grid

def sleep(seed):
    open(f"started {os.getpid()}", "w").close()
    time.sleep(600)

if __name__ == "__main__":
    run_grid([{"seed": 0}, {"seed": 1}], sleep, "t.csv", ["length"], workers=2)
"""


def test_ctrl_c_ends_the_workers(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(INTERRUPTED)
    process = subprocess.Popen([sys.executable, "sleeper.py"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    started: list[Path] = []
    while len(started) < 2 and process.poll() is None:
        started = list(tmp_path.glob("started *"))
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) != 0
    for path in started:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.split()[1]), 0)


def test_no_jobs(tmp_path: Path) -> None:
    assert run_grid([], length, tmp_path / "t.csv", ["length"]) == []
