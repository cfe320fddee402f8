"""What the check of a CUDA device writes; the check itself wants one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sparse_agents.benchmark import Record
from sparse_agents.benchmark.gpu_check import Step, check, commands, measure, write

DEVICE = {"gpu": "Some GPU", "driver": "13.0", "torch": "2.13.0"}


def record(contender: str, sparsity: float, ratio: float) -> Record:
    return Record("layer 8x8, CUDA", sparsity, 4, 0, contender, "nn.Linear", 0.002 / ratio, 0.002, ratio)


def test_a_step_passes_fails_or_cannot_be_run() -> None:
    assert check("good", [sys.executable, "-c", "print('fine')"])[0].said == "fine"
    bad, found = check("bad", [sys.executable, "-c", "raise SystemExit('broken')"])
    assert not found
    assert (bad.passed, bad.said) == (False, "broken")
    absent, _ = check("absent", ["no-such-program-at-all"])
    assert absent.passed is None
    assert "not installed" in absent.said


def test_a_benchmark_that_fails_is_a_step_that_failed() -> None:
    def broken() -> list[Record]:
        raise RuntimeError("out of memory")

    step, found = measure("layers", broken)
    assert (step.passed, step.said, list(found)) == (False, "out of memory", [])
    step, found = measure("layers", lambda: [record("sparse_agents", 0.9, 2.0)])
    assert (step.passed, len(found)) == (True, 1)


def test_what_is_written(tmp_path: Path) -> None:
    steps = [Step("tests", True, "", 3.0), Step("memcheck", None, "", 0.0), Step("racecheck", False, "", 1.0)]
    records = [record("sparse_agents", 0.9, 2.0), record("sparse_agents", 0.95, 4.0), record("TF32", 0.9, 5.0)]
    write(tmp_path, DEVICE, steps, records)
    content = json.loads((tmp_path / "gpu_check.json").read_text())
    assert content["device"] == DEVICE
    assert [s["passed"] for s in content["steps"]] == [True, None, False]
    page = (tmp_path / "gpu_check.md").read_text()
    assert "gpu Some GPU, driver 13.0, torch 2.13.0" in page
    assert "| memcheck | not run | 0 |" in page
    assert "| racecheck | **failed** | 1 |" in page
    assert "| sparse_agents | 2.00×, 1.000 ms | 4.00×, 0.500 ms |" in page
    assert "| TF32 | 5.00×, 0.400 ms |  |" in page
    assert "| nn.Linear | 2.000 ms | 2.000 ms |" in page


def test_its_tests_are_there() -> None:
    root = Path(__file__).parents[2]
    for command in commands().values():
        paths = [part for part in command if part.startswith("tests/")]
        assert paths
        assert all((root / path).is_file() for path in paths)
