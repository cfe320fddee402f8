"""What the check of a CUDA device writes; the check itself wants one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparse_agents.benchmark import Record, gpu_check
from sparse_agents.benchmark.gpu_check import SANITIZED, SANITIZERS, TESTS, Part, Step, check, keep, parts, write

DEVICE = {"gpu": "Some GPU", "driver": "13.0", "torch": "2.13.0"}


def record(contender: str, sparsity: float, ratio: float) -> Record:
    return Record("layer 8x8, CUDA", sparsity, 4, 0, contender, "nn.Linear", 0.002 / ratio, 0.002, ratio)


def python(code: str, **more: Any) -> Part:
    return Part([sys.executable, "-c", code], **more)


def test_a_step_passes_fails_or_cannot_be_run() -> None:
    assert check("good", python("print('fine')"))[0].said == "fine"
    bad, found = check("bad", python("raise SystemExit('broken')"))
    assert not found
    assert (bad.passed, bad.said) == (False, "broken")
    told, _ = check("told", python("import os; print(os.environ['SAID'])", environment={"SAID": "so"}))
    assert told.said == "so"
    absent, _ = check("absent", Part(["no-such-program-at-all"]))
    assert absent.passed is None
    assert "not installed" in absent.said


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "LONGEST", 0.5)
    step, _ = check("slow", python("import time; time.sleep(60)"))
    assert step.passed is False
    assert "more than 0.5 seconds" in step.said


def test_a_benchmark_that_fails_keeps_its_figures(tmp_path: Path) -> None:
    path, figures = tmp_path / "layers.jsonl", [record("sparse_agents", 0.9, 2.0), record("TF32", 0.9, 5.0)]

    def breaking() -> Iterator[Record]:
        yield from figures
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        keep(breaking(), path)
    lines = path.read_text()
    code = f"from pathlib import Path; Path({str(path)!r}).write_text({lines!r}); raise SystemExit('out of memory')"
    step, found = check("layers", python(code, records=path))
    assert (step.passed, step.said, found) == (False, "out of memory", figures)
    step, found = check("layers", python("", records=path))
    assert (step.passed, found) == (True, [])  # those of an earlier run are not this one's


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
    assert "| a million neurons learn | no figure of sparse_agents, minibatch of  |  |" in page


def test_its_tests_are_there_and_its_benchmarks_are_asked_for() -> None:
    root = Path(__file__).parents[2]
    found = parts(Path("check.py"), ["million neurons"], Path("out"), "python")
    for name in ("tests", *SANITIZERS):
        paths = [part for part in found[name].command if part.startswith("tests/")]
        assert paths
        assert all((root / path).is_file() for path in paths)
    assert found["million neurons"].command == ["python", "check.py", "--out", "out", "--part", "million neurons"]
    assert found["million neurons"].records == Path("out/million_neurons.jsonl")


def test_what_sanitizers_see() -> None:
    """Networks of every kind, and whole updates."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-n", "0", "-m", "gpu", "-k", SANITIZED]
    done = subprocess.run([*command, *TESTS[:2]], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    for kind in ("small", "critic", "wide", "in parts", "in many parts", "normalised", "blocks"):
        assert f"[{kind}-0.9-7]" in done.stdout, done.stdout
    for update in ("TD3", "SAC", "TD3, normalised"):
        assert f"[cuda-{update}]" in done.stdout, done.stdout
