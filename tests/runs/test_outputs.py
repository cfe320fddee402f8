"""Whether something can be written, before it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparse_agents.errors import ConfigurationError
from sparse_agents.runs import RecordFile, output_file, output_folder


def test_folders_are_made_and_nothing_is_left_in_them(tmp_path: Path) -> None:
    assert output_folder(tmp_path / "a" / "b", "--out") == tmp_path / "a" / "b"
    assert output_file(tmp_path / "c" / "page.html", "--out") == tmp_path / "c" / "page.html"
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {"a", "a/b", "c"}


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    for folder in (file, file / "below", Path("/proc/nowhere")):
        with pytest.raises(ConfigurationError, match=rf"--out {folder}: cannot write there, "):
            output_folder(folder, "--out")
    for path in (file / "page.html", Path("/proc/page.html")):
        with pytest.raises(ConfigurationError, match=rf"--out {path}: cannot write there, "):
            output_file(path, "--out")
    with pytest.raises(ConfigurationError, match=r"is a folder: name a file in it"):
        output_file(tmp_path, "--out")
    assert output_file(file, "--out").read_text() == "kept"


def test_records_are_there_whole_after_each(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records.json")
    assert not (tmp_path / "records.json").exists()
    file.add({"a": 1})
    file.add({"a": 2})
    assert json.loads((tmp_path / "records.json").read_text()) == [{"a": 1}, {"a": 2}]
    RecordFile(None).add({"a": 1})
