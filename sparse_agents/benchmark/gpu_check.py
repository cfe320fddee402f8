"""All that wants a CUDA device: tests, sanitizers and figures, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparse_agents.benchmark.gpu_bars import as_rows
from sparse_agents.benchmark.timing import Record
from sparse_agents.runs import atomic_file

TESTS = (
    "tests/ops/cuda/test_device.py",
    "tests/training/test_device_engine.py",
    "tests/continual/test_methods_on_devices.py",
)
SANITIZERS = ("memcheck", "racecheck", "synccheck")
SANITIZED = "0.9-7 or one_update"
"""Tests that have every kernel run, at a batch that sanitizers take in minutes."""
NO_POOL = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
"""What lies behind a tensor is nobody's then."""
LONGEST = 3600


@dataclass(frozen=True)
class Part:
    """A command whose exit code says whether it went well.

    Attributes:
        command: and its arguments.
        environment: variables that it is given besides.
        records: where it leaves figures, if it has any, one a line.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    records: Path | None = None


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


def parts(script: Path, benchmarks: Iterable[str], folder: Path, python: str = sys.executable) -> dict[str, Part]:
    """Of the check, by name.

    Args:
        script: that runs one benchmark, ``--part NAME``.
        benchmarks: their names.
        folder: for what is found.
        python: the interpreter.
    """
    pytest = [python, "-m", "pytest", "-p", "no:cacheprovider", "-m", "gpu"]
    found = {"tests": Part([*pytest, *TESTS])}
    for tool in SANITIZERS:
        under = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"]
        found[tool] = Part([*under, *pytest, "-k", SANITIZED, *TESTS[:2]], NO_POOL)
    for name in benchmarks:
        command = [python, str(script), "--out", str(folder), "--part", name]
        found[name] = Part(command, records=records_of(name, folder))
    return found


def records_of(name: str, folder: Path) -> Path:
    """Where a benchmark's figures go."""
    return folder / f"{name.replace(' ', '_')}.jsonl"


def keep(records: Iterable[Record], path: Path) -> None:
    """A line each, as soon as it is known."""
    with path.open("w") as file:
        for record in records:
            file.write(json.dumps(record.as_dict()) + "\n")
            file.flush()


def check(name: str, part: Part) -> tuple[Step, Sequence[Record]]:
    """Run a part to its end; its figures are those that it had by then."""
    if shutil.which(part.command[0]) is None:
        return Step(name, None, f"{part.command[0]} is not installed here.", 0.0), []
    if part.records is not None:
        part.records.unlink(missing_ok=True)
    begin = time.monotonic()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **part.environment}
    try:
        done = subprocess.run(
            part.command, capture_output=True, text=True, check=False, env=environment, timeout=LONGEST
        )
        passed, said = done.returncode == 0, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        passed, said = False, f"It took more than {LONGEST} seconds."
    found = [] if part.records is None else read(part.records)
    return Step(name, passed, "\n".join(said.strip().splitlines()[-15:]), time.monotonic() - begin), found


def read(path: Path) -> list[Record]:
    """What :func:`keep` has kept."""
    return [Record(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def write(folder: Path, device: Mapping[str, Any], steps: Sequence[Step], records: Sequence[Record]) -> None:
    """``gpu_check.json`` and ``gpu_check.md``, of what is known so far."""
    content: dict[str, Any] = {
        "device": dict(device),
        "steps": [asdict(s) for s in steps],
        "bars": as_rows(records),
        "records": [r.as_dict() for r in records],
    }
    for name, text in (("gpu_check.json", json.dumps(content, indent=1) + "\n"), ("gpu_check.md", page(**content))):
        with atomic_file(folder / name) as draft:
            draft.write_text(text)


def page(
    device: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    bars: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
) -> str:
    """Markdown: the device, what passed, what was to be reached, and a table for each case of the benchmarks."""
    results = {None: "not run", True: "passed", False: "**failed**"}
    lines = [
        ", ".join(f"{name} {value}" for name, value in device.items()),
        "",
        "| step | | seconds |",
        "|---|---|---|",
        *(f"| {s['name']} | {results[s['passed']]} | {s['seconds']:.0f} |" for s in steps),
        "",
        "| bar, for an H200 | measured | |",
        "|---|---|---|",
    ]
    reached = {None: "", True: "met", False: "**missed**"}
    lines += [f"| {b['bar']} | {b['measured']} | {reached[b['met']]} |" for b in bars]
    for case, batch in dict.fromkeys((r["case"], r["batch"]) for r in records):
        lines += _table(f"{case}, batch {batch}", [r for r in records if (r["case"], r["batch"]) == (case, batch)])
    return "\n".join(lines) + "\n"


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A column for each sparsity."""
    sparsities = sorted({r["sparsity"] for r in rows})
    lines = [
        "",
        f"{title}: speed relative to {rows[0]['baseline']}",
        "",
        "| | " + " | ".join(f"{100 * s:.4g}%" for s in sparsities) + " |",
        "|---" * (len(sparsities) + 1) + "|",
    ]
    for contender in dict.fromkeys(r["contender"] for r in rows):
        own = [r for r in rows if r["contender"] == contender]
        cells = {r["sparsity"]: f"{r['ratio']:.2f}×, {_milliseconds(r['seconds'])}" for r in own}
        lines.append(f"| {contender} | " + " | ".join(cells.get(s, "") for s in sparsities) + " |")
    times = {r["sparsity"]: _milliseconds(r["baseline_seconds"]) for r in rows}
    return [*lines, f"| {rows[0]['baseline']} | " + " | ".join(times[s] for s in sparsities) + " |"]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms"
