"""Commands, in this process: an interpreter of its own takes seconds to start."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from sparse_agents import cli


def run_here(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``sparse-agents ARGUMENTS``, for commands that leave torch's settings alone."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        _working_in(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["sparse-agents", *arguments]),
    ):
        try:
            cli.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
