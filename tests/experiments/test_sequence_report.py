"""Runs over a sequence of tasks, put together: numbers by hand, tables, figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.report_sequence import main
from sparse_agents.cli import run_command
from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.documents import put_between_marks
from sparse_agents.experiments.sequence_report import markdown
from sparse_agents.experiments.sequences import beside, metrics_of, read_sequence

LENGTH = 10


def write(folder: Path, matrix: list[list[float]], during: list[list[float]], done: bool = True) -> None:
    """A run of two tasks: what was scored between tasks, and five times in each half of each."""
    folder.mkdir(parents=True)
    lines = ["step,learned,training,task,identity,score"]
    for learned, row in enumerate(matrix if done else matrix[:-1]):
        lines += [f"{learned * LENGTH},{learned},-1,{task},known,{score}" for task, score in enumerate(row)]
        if learned < 2:
            for index in range(LENGTH):
                scores = during[2 * learned + 2 * index // LENGTH]
                step = learned * LENGTH + index + 1
                lines += [f"{step},{learned},{learned},{task},known,{score}" for task, score in enumerate(scores)]
    (folder / "evaluations.csv").write_text("\n".join(lines) + "\n")
    rows = [f"{learned * LENGTH},{learned},network.0,100,{90 - 10 * learned},{10 * learned},0" for learned in range(3)]
    (folder / "capacity.csv").write_text("\n".join(["step,learned,layer,possible,free,frozen,shared", *rows]) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, less in enumerate((0.0, 0.1)):
        write(
            tmp_path / "two" / "finetune" / f"seed_{seed}",
            [[0.1, 0.2], [0.9 - less, 0.3], [0.5, 0.8]],
            [[0.5, 0.2], [0.9, 0.3], [0.7, 0.6], [0.5, 0.8]],
        )
        write(
            tmp_path / "two" / "single" / f"seed_{seed}",
            [[0.1, 0.2], [0.8, 0.2], [0.8, 0.9]],
            [[0.4, 0.2], [0.8, 0.2], [0.8, 0.5], [0.8, 0.9]],
        )
    write(tmp_path / "two" / "joint" / "seed_0", [[0, 0], [0.95, 0.4], [0.9, 0.85]], [[0.5, 0.5]] * 4)
    return tmp_path / "two"


def test_metrics_by_hand(folder: Path) -> None:
    runs, unfinished = read_sequence(folder)
    assert unfinished == []
    found = metrics_of(runs["finetune"][0], "known", beside(runs, "finetune", 0))
    expected = {
        "ACC": (0.5 + 0.8) / 2,
        "BWT": 0.5 - 0.9,
        "FWT": 0.3 - 0.2,
        "forgetting": 0.9 - 0.5,
        "intransigence": ((0.95 - 0.9) + (0.85 - 0.8)) / 2,
        "CW performance": (0.5 + 0.8) / 2,
        "CW forgetting": (0.9 - 0.5) / 2,
        "CW forward transfer": ((0.7 - 0.6) / (1 - 0.6) + (0.7 - 0.7) / (1 - 0.7)) / 2,
    }
    assert found == pytest.approx(expected)
    assert "intransigence" not in metrics_of(runs["finetune"][1], "known", {})


def test_returns_are_brought_to_what_the_task_alone_comes_to(tmp_path: Path) -> None:
    """0 is what the single-task run scores untrained, 1 what it comes to."""
    write(
        tmp_path / "single" / "seed_0", [[-100, -200], [100, -200], [100, 0]],
        [[0, -200], [100, -200], [100, -100], [100, 0]],
    )  # fmt: skip
    write(
        tmp_path / "finetune" / "seed_0", [[-100, -200], [100, -200], [0, 100]],
        [[0, -200], [100, -200], [50, 0], [0, 100]],
    )  # fmt: skip
    runs, _ = read_sequence(tmp_path)
    found = metrics_of(runs["finetune"][0], "known", {"single": runs["single"][0]})
    assert found["ACC"] == 50
    assert found["CW performance"] == pytest.approx((0.5 + 1.5) / 2)
    assert found["CW forgetting"] == pytest.approx((1 - 0.5) / 2)
    baselines = np.mean([0.5, 1]), np.mean([0.5, 1])
    transfer = [(np.mean(own) - b) / (1 - b) for own, b in zip(([0.5, 1], [1, 1.5]), baselines, strict=True)]
    assert found["CW forward transfer"] == pytest.approx(np.mean(transfer))
    assert "| finetune | 50 |" in markdown(runs)


def test_the_command_writes_tables_figures_and_records(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "si" / "seed_0", [[0, 0], [1, 0], [1, 1]], [[0, 0]] * 4, done=False)
    document = folder / "page.md"
    document.write_text("before\n<!-- sequence: two -->\nzzz\n<!-- end -->\nafter\n")
    main([str(folder), "--out", str(folder / "figures"), "--document", str(document)])
    said = capsys.readouterr().out
    assert f"{folder / 'si' / 'seed_0'} is not done" in said
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "zzz" not in text
    # 0.65 in both seeds; from 0.9 and 0.8 to 0.5: -0.4 and -0.3, whose 95% interval by Student's t is 12.706 x 0.05
    assert "| finetune | 65.0 ± 0.0 | -35.0 ± 63.5 | 10.0 ± 0.0 |" in text
    assert text.index("| joint |") < text.index("| single |") < text.index("| finetune |")  # by ACC
    for name in ("matrices", "curves", "capacity"):
        assert (folder / "figures" / f"{name}.svg").stat().st_size > 1000
    records = json.loads((folder / "figures" / "metrics.json").read_text())
    assert {(one["method"], one["seed"]) for one in records} == {
        ("finetune", 0), ("finetune", 1), ("single", 0), ("single", 1), ("joint", 0),
    }  # fmt: skip


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no finished run in METHOD/seed_SEED"):
        read_sequence(tmp_path)
    with pytest.raises(ConfigurationError, match=r"There is no .*none.md here"):
        put_between_marks(tmp_path / "none.md", "sequence: x", "")
    (tmp_path / "page.md").write_text("")
    with pytest.raises(ConfigurationError, match=r"has no place `<!-- sequence: x -->`"):
        put_between_marks(tmp_path / "page.md", "sequence: x", "")
    with pytest.raises(SystemExit):
        run_command(lambda _: main([str(tmp_path)]))


def test_means_of_evaluations_do_not_reach_back_to_a_tasks_beginning(folder: Path) -> None:
    for path in folder.glob("*/*/evaluations.csv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if not line.startswith(("1,0,0", "11,1,1"))) + "\n")
    assert "CW" not in markdown(read_sequence(folder)[0])


def test_agents_are_measured_by_runs_of_their_own_algorithm(folder: Path) -> None:
    for path in list(folder.iterdir()):
        path.rename(path.with_name(f"ds_sac-{path.name}"))
    write(folder / "td3-single" / "seed_0", [[0, 0], [0.1, 0], [0.1, 0.1]], [[0, 0]] * 4)
    runs, _ = read_sequence(folder)
    assert set(beside(runs, "ds_sac-finetune", 0)) == {"finetune", "single", "joint"}
    assert set(beside(runs, "ds_sac-finetune", 1)) == {"finetune", "single"}
    assert set(beside(runs, "td3-single", 0)) == {"single"}
    assert "CW forward transfer" in markdown(runs)
