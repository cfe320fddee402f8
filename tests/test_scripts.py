"""Every script says what it does, and refuses what it does not know."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

SCRIPTS = sorted((pages.REPOSITORY / "scripts").glob("*.py"))
pytestmark = [pytest.mark.pages, pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)]


def run(script: Path, flag: str, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(script), flag],
        cwd=folder,
        env={**pages.environment(), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert not list(folder.iterdir())
    assert "Traceback" not in done.stderr
    return done


def test_help_says_what_it_does_and_what_is_the_default(script: Path, tmp_path: Path) -> None:
    done = run(script, "--help", tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    description = done.stdout.split("\n\n")[1].strip()
    assert len(description.split()) >= 5, description
    for flag in re.split(r"^│ (?=-)", done.stdout, flags=re.MULTILINE)[1:]:
        assert flag.startswith("-h, --help") or "(default: " in flag or "(required)" in flag


def test_what_is_not_known_is_refused(script: Path, tmp_path: Path) -> None:
    done = run(script, "--no-such-flag", tmp_path)
    assert done.returncode == 2
    assert re.search("no-such-flag|Missing argument", done.stderr)
