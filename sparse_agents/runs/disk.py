"""Files and folders that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from sparse_agents.errors import ConfigurationError


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``target`` at the end, in place of one that is there."""
    draft = target.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    for file in draft.iterdir():
        sync(file)
    sync(draft)
    old = target.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():  # aside, so that no half of it is ever there
        target.rename(old)
    draft.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


class _PeoplesYAML(yaml.SafeLoader):
    """With ``1e-3`` for a number, as YAML 1.2 has it; 1.1 wants a point in it."""


_PeoplesYAML.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A file to write, which becomes ``target`` at the end, in place of one that is there."""
    draft = target.with_suffix(".draft")
    yield draft
    sync(draft)
    draft.replace(target)
    sync(target.parent)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here, so that what is read from a file and written back is not lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_yaml(path: Path) -> Any:
    """What a file that a person wrote says.

    Raises:
        ConfigurationError: where it cannot be read, or is not YAML.
    """
    try:
        return yaml.load(path.read_text(), _PeoplesYAML)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not text.") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from error


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
