"""Where a command is to write: looked at before it computes, and written as it goes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparse_agents.errors import ConfigurationError
from sparse_agents.runs.disk import atomic_file


def output_folder(path: Path, flag: str) -> Path:
    """The folder, which is made where it is missing.

    Args:
        path: of the folder.
        flag: that named it, for the message.

    Raises:
        ConfigurationError: where nothing can be written there.
    """
    _make(path, f"{flag} {path}")
    return path


def output_file(path: Path, flag: str) -> Path:
    """A file to be written, which is not touched; its folder is made where it is missing.

    Args:
        path: of the file.
        flag: that named it, for the message.

    Raises:
        ConfigurationError: where it cannot be written.
    """
    if path.is_dir():
        raise ConfigurationError(f"{flag} {path} is a folder: name a file in it.")
    _make(path.parent, f"{flag} {path}")
    return path


def _make(folder: Path, named: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(f"{named}: cannot write there, {error.strerror}.") from error


class RecordFile:
    """A JSON list of records, written anew with each of them: Ctrl-C loses none.

    Args:
        path: of the file; None to write nothing.
        flag: that named it.

    Raises:
        ConfigurationError: where it cannot be written.
    """

    def __init__(self, path: Path | None, flag: str = "--json") -> None:
        self.path = None if path is None else output_file(path, flag)
        self.records: list[Mapping[str, Any]] = []

    def add(self, record: Mapping[str, Any]) -> None:
        self.records.append(record)
        if self.path is not None:
            with atomic_file(self.path) as draft:
                draft.write_text(json.dumps(self.records, indent=1) + "\n")
