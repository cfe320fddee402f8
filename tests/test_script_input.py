"""What scripts cannot work with is one message, before anything is computed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pages
import pytest

pytestmark = pytest.mark.pages

FILES = {
    "half.json": '[{"case": "network',
    "others.json": '[{"case": "network"}]',
    "mapping.json": '{"case": "network"}',
    "header.csv": "gene,class\n",
    "column.csv": "class\na\nb\nc\n",
}
REFUSED = [
    ("plot_benchmark half.json --out a.svg", "half.json does not hold the records of `benchmark kernels`"),
    ("plot_benchmark others.json --out a.svg", "others.json does not hold the records"),
    ("plot_benchmark mapping.json --out a.svg", "mapping.json does not hold the records"),
    ("plot_benchmark others.json --out a.txt", "--out a.txt: a figure ends in .svg, .png, .pdf"),
    ("plot_benchmark others.json --out /proc/a.svg", "--out /proc/a.svg: cannot write there"),
    ("roofline --out /proc/a.svg", "--out /proc/a.svg: cannot write there"),
    ("million_neurons --csv header.csv", "header.csv has 0 samples of 1 genes and 0 classes: too few to learn from"),
    ("million_neurons --csv column.csv", "column.csv has 3 samples of 0 genes and 3 classes: too few to learn from"),
    ("million_neurons --json /proc/a.json", "--json /proc/a.json: cannot write there"),
    ("compare_rules --out /proc/rules", "--out /proc/rules: cannot write there"),
    ("report_sequence . --out /proc/figures", "--out /proc/figures: cannot write there"),
    ("reproduce --out /proc/figures", "--out /proc/figures: cannot write there"),
    ("reproduce --logs /proc/logs --out out", "--logs /proc/logs: cannot write there"),
]


@pytest.mark.parametrize(("command", "says"), REFUSED, ids=lambda text: text.replace("/", "-"))
def test_it_is_named(command: str, says: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    script, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(pages.REPOSITORY / "scripts" / f"{script}.py"), *arguments],
        cwd=tmp_path, env=pages.environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
