"""The examples run, and say what they promise."""

from __future__ import annotations

import re
import subprocess
import sys

import pages
import pytest

FOLDER = pages.REPOSITORY / "examples"


def output(name: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(FOLDER / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=pages.environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.pages
def test_dense_and_sparse() -> None:
    seconds = [float(one) for one in re.findall(r"([\d.]+) s$", output("dense_and_sparse.py", "--steps", "900"), re.M)]
    assert len(seconds) == 2


@pytest.mark.pages
@pytest.mark.parametrize("topology", ["set", "static", "rigl"])
def test_digits(topology: str) -> None:
    said = output("digits.py", "--steps", "1000", "--topology", topology)
    assert set(re.findall(r"(\d+) connections", said)) == {"1690"}
    assert float(re.findall(r"([\d.]+)% of", said)[-1]) > 85


@pytest.mark.pages
def test_forget_nothing() -> None:
    said = output("forget_nothing.py", "--steps", "200")
    assert re.findall(r"backward transfer (\S+)", said)[1] == "+0"


@pytest.mark.pages
@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("dense_and_sparse.py", ("--env", "Pendulum-v7"), "Unknown environment 'Pendulum-v7'"),
        ("dense_and_sparse.py", ("--sparsity", "1.5", "--steps", "10"), "sparsity=1.5 is not in [0, 1)"),
        ("digits.py", ("--topology", "rigle"), "Did you mean 'rigl'"),
        ("forget_nothing.py", ("--steps", "many"), "invalid int value: 'many'"),
    ],
)
def test_what_cannot_be_done_is_said(name: str, arguments: tuple[str, ...], says: str) -> None:
    command = [sys.executable, "-W", "error", str(FOLDER / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=pages.environment())
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_every_example_has_a_test() -> None:
    assert {path.name for path in FOLDER.glob("*.py")} == {"dense_and_sparse.py", "digits.py", "forget_nothing.py"}
