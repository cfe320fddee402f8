"""All that wants a CUDA device: tests, sanitizers and figures, step by step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparse_agents.benchmark.timing import Record
from sparse_agents.runs import atomic_file

TESTS = (
    "tests/ops/cuda/test_device.py",
    "tests/training/test_device_engine.py",
    "tests/continual/test_methods_on_devices.py",
)
SANITIZERS = ("memcheck", "racecheck")


@dataclass(frozen=True)
class Step:
    """What one part of the check came to.

    Attributes:
        name: of the part.
        passed: None where it could not be run.
        said: the end of its output, or why it was not run.
        seconds: that it took.
    """

    name: str
    passed: bool | None
    said: str
    seconds: float


def commands(python: str = sys.executable) -> dict[str, Sequence[str]]:
    """Commands whose exit codes say whether the kernels are right, by name."""
    pytest = [python, "-m", "pytest", "-p", "no:cacheprovider", "-m", "gpu"]
    found: dict[str, Sequence[str]] = {"tests": [*pytest, *TESTS]}
    for tool in SANITIZERS:
        small = [*pytest, "-k", "small", *TESTS]
        found[tool] = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *small]
    return found


def check(name: str, command: Sequence[str]) -> tuple[Step, Sequence[Record]]:
    """Run a command to its end; there are no figures."""
    if shutil.which(command[0]) is None:
        return Step(name, None, f"{command[0]} is not installed here.", 0.0), []
    begin = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
    return Step(name, done.returncode == 0, said, time.monotonic() - begin), []


def measure(name: str, records: Callable[[], Iterable[Record]]) -> tuple[Step, Sequence[Record]]:
    """A benchmark, which may fail like everything else here."""
    begin = time.monotonic()
    try:
        found = list(records())
    except RuntimeError as error:  # what torch and CUDA raise
        return Step(name, False, str(error), time.monotonic() - begin), []
    return Step(name, True, f"{len(found)} figures", time.monotonic() - begin), found


def write(folder: Path, device: Mapping[str, Any], steps: Sequence[Step], records: Sequence[Record]) -> None:
    """``gpu_check.json`` and ``gpu_check.md``, of what is known so far."""
    content: dict[str, Any] = {
        "device": dict(device),
        "steps": [asdict(s) for s in steps],
        "records": [r.as_dict() for r in records],
    }
    for name, text in (("gpu_check.json", json.dumps(content, indent=1) + "\n"), ("gpu_check.md", page(**content))):
        with atomic_file(folder / name) as draft:
            draft.write_text(text)


def page(
    device: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any]]
) -> str:  # fmt: skip
    """Markdown: the device, what passed, and a table for each case of the benchmarks."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in device.items()),
        "",
        "| step | | seconds |",
        "|---|---|---|",
    ]
    results = {None: "not run", True: "passed", False: "**failed**"}
    lines += [f"| {s['name']} | {results[s['passed']]} | {s['seconds']:.0f} |" for s in steps]
    for case, batch in dict.fromkeys((r["case"], r["batch"]) for r in records):
        rows = [r for r in records if (r["case"], r["batch"]) == (case, batch)]
        sparsities = sorted({r["sparsity"] for r in rows})
        lines += ["", f"{case}, batch {batch}: speed relative to {rows[0]['baseline']}", ""]
        lines += [
            "| | " + " | ".join(f"{100 * s:.4g}%" for s in sparsities) + " |",
            "|---" * (len(sparsities) + 1) + "|",
        ]
        for contender in dict.fromkeys(r["contender"] for r in rows):
            own = [r for r in rows if r["contender"] == contender]
            cells = {r["sparsity"]: f"{r['ratio']:.2f}×, {_milliseconds(r['seconds'])}" for r in own}
            lines.append(f"| {contender} | " + " | ".join(cells.get(s, "") for s in sparsities) + " |")
        times = {r["sparsity"]: _milliseconds(r["baseline_seconds"]) for r in rows}
        lines.append(f"| {rows[0]['baseline']} | " + " | ".join(times[s] for s in sparsities) + " |")
    return "\n".join(lines) + "\n"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"
