from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from sparse_agents.runs import alone_in, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("-2.5E+4", -25000.0), (".5e1", 5.0), ("3e5", 300000.0), ("0.1", 0.1), ("7", 7),
     ("!!float 7.3e-4", 0.00073), ("'1e-3'", "1e-3"), ("1e-3x", "1e-3x"), ("lin_1e-3", "lin_1e-3"), ("e-3", "e-3")],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(text: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "some.yml"
    path.write_text(f"a: {text}\n")
    read = read_yaml(path)["a"]
    assert read == value
    assert type(read) is type(value)


def _add_one(path: Path) -> None:
    for _ in range(5):
        with alone_in(path.parent):
            count = int(path.read_text())
            time.sleep(0.01)
            path.write_text(str(count + 1))


def test_one_at_a_time(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    workers = [multiprocessing.get_context("spawn").Process(target=_add_one, args=(count,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert count.read_text() == "10"
