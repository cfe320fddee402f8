"""Data sets from a user's folder, on small files made here."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparse_agents.continual.supervised.sequences import SEQUENCES, classification_sequence
from sparse_agents.errors import ConfigurationError

CLASSES = 10


def images(count: int, size: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, size)).astype(np.uint8)


def idx(values: Any) -> bytes:
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
    return header + values.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 images of each part; one file packed."""
    for name in ("mnist", "fashion-mnist"):
        (tmp_path / name).mkdir()
        for part in ("train", "t10k"):
            labels = (np.arange(20) % CLASSES).astype(np.uint8)
            (tmp_path / name / f"{part}-images-idx3-ubyte").write_bytes(idx(images(20, 784).reshape(20, 28, 28)))
            (tmp_path / name / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    ten, hundred = tmp_path / "cifar-10-batches-py", tmp_path / "cifar-100-python"
    ten.mkdir()
    hundred.mkdir()
    for file in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        batch = {"data": images(20, 3072), "labels": [i % CLASSES for i in range(20)]}
        (ten / file).write_bytes(pickle.dumps(batch, protocol=2))
    for file in ("train", "test"):
        batch = {"data": images(200, 3072), "fine_labels": [i % 100 for i in range(200)]}
        (hundred / file).write_bytes(pickle.dumps(batch, protocol=2))
    return tmp_path


def test_idx_files_are_read_packed_or_not(folder: Path) -> None:
    sequence = classification_sequence("split-mnist", folder)
    assert (sequence.inputs, sequence.classes, len(sequence.tasks)) == (784, 10, 5)
    first = sequence.tasks[0].train
    assert first.labels.tolist() == [0, 1, 0, 1]
    raw = torch.from_numpy(images(20, 784).astype(np.float32) / 255)
    expected = (raw - raw.mean()) / raw.std()
    assert torch.allclose(first.inputs, expected[[0, 1, 10, 11]], atol=1e-6)


@pytest.mark.parametrize("name", [name for name in SEQUENCES if "digits" not in name])
def test_every_sequence_can_be_made(folder: Path, name: str) -> None:
    sequence = classification_sequence(name, folder)
    assert sequence.inputs == (3072 if "cifar" in name else 784)
    assert sequence.classes == (100 if "cifar-100" in name else 10)
    assert len(sequence.tasks) == (10 if name == "split-cifar-100" else 5)
    for task in sequence.tasks:
        assert len(task.train.labels) > 0
        assert len(task.test.labels) > 0


def test_coloured_images_are_not_rotated() -> None:
    assert "rotated-mnist" in SEQUENCES
    assert "rotated-cifar-10" not in SEQUENCES


def test_without_a_folder_it_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"--data-dir DIR, with mnist/train-images-idx3-ubyte in it; get"):
        classification_sequence("split-mnist")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(ConfigurationError, match=r"no .*data_batch_3.*get it from https://www.cs.toronto.edu"):
        classification_sequence("split-cifar-10", folder)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"no", "does not begin as an IDX file does"),
        ("train-images-idx3-ubyte", idx(np.zeros((3, 2, 2), np.uint8))[:-1], "11 bytes of values where its"),
        ("train-images-idx3-ubyte", idx(np.zeros((3, 28, 28), np.uint8)), "20 labels for 3 images"),
        ("train-labels-idx1-ubyte.gz", b"not packed at all", "cannot be read"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(b"12345678")[:-9], "cannot be read"),
    ],
    ids=["no header", "cut off", "of other images", "not packed", "packed and cut off"],  # packed files know the time
)  # fmt: skip
def test_a_damaged_idx_file_is_named(folder: Path, file: str, content: bytes, message: str) -> None:
    (folder / "mnist" / file).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as error:
        classification_sequence("split-mnist", folder)
    assert "get it from" in str(error.value)


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"nonsense", "is damaged"),
        (pickle.dumps([1, 2]), "is damaged"),
        (pickle.dumps({"data": images(2, 3072)}, protocol=2), "is damaged: 'labels'"),
        (pickle.dumps({"data": images(2, 30), "labels": [0, 1]}, protocol=2), r"shape \(2, 30\) for 2 labels"),
        (pickle.dumps({"data": Malicious(), "labels": [0]}, protocol=2), "which no array needs"),
    ],
)  # fmt: skip
def test_a_damaged_archive_is_named_and_runs_nothing(folder: Path, content: bytes, message: str) -> None:
    (folder / "cifar-10-batches-py" / "data_batch_1").write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        classification_sequence("split-cifar-10", folder)
