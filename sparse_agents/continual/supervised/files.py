"""Data sets from a user's folder: MNIST and Fashion-MNIST (IDX), CIFAR-10 and CIFAR-100 (Python's archive)."""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse_agents.continual.supervised.tasks import Samples
from sparse_agents.errors import ConfigurationError

WHERE = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "cifar-10-batches-py": "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "cifar-100-python": "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
}
"""Folders of data sets, and where they come from."""
MAGIC = {1: 0x0801, 3: 0x0803}
"""Of IDX files of unsigned bytes, by the number of dimensions."""


def read_idx_folder(data: Path | None, name: str) -> tuple[Samples, Samples]:
    """To train on and to test: brightness in 0..1.

    Args:
        data: the folder with the data set's own in it.
        name: ``"mnist"`` or ``"fashion-mnist"``; files as they are published, packed by gzip or not.

    Raises:
        ConfigurationError: naming the file that is missing or damaged, and where to get it.
    """
    found = []
    for part in ("train", "t10k"):
        images = _idx(data, name, f"{part}-images-idx3-ubyte", 3)
        labels = _idx(data, name, f"{part}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise _damaged(name, f"{part}-labels-idx1-ubyte", f"{len(labels)} labels for {len(images)} images")
        found.append(_samples(images.reshape(len(images), -1), labels))
    return found[0], found[1]


def read_cifar(data: Path | None, name: str) -> tuple[Samples, Samples]:
    """To train on and to test: 3 times 32 by 32 values in 0..1, red, green, blue.

    Args:
        data: the folder with the data set's own in it.
        name: ``"cifar-10-batches-py"`` or ``"cifar-100-python"``, as the archive is unpacked.

    Raises:
        ConfigurationError: naming the file that is missing or damaged, and where to get it.
    """
    if name == "cifar-100-python":
        return _batches(data, name, ["train"], "fine_labels"), _batches(data, name, ["test"], "fine_labels")
    train = [f"data_batch_{number}" for number in range(1, 6)]
    return _batches(data, name, train, "labels"), _batches(data, name, ["test_batch"], "labels")


def _idx(data: Path | None, folder: str, file: str, dimensions: int) -> Any:
    content = _content(data, folder, file)
    header = 4 * (1 + dimensions)
    if len(content) < header or int.from_bytes(content[:4], "big") != MAGIC[dimensions]:
        raise _damaged(folder, file, "it does not begin as an IDX file does")
    sizes = np.frombuffer(content[4:header], dtype=">u4").astype(np.int64)
    expected = int(sizes.prod())
    if len(content) != header + expected:
        raise _damaged(folder, file, f"{len(content) - header} bytes of values where its header says {expected}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)


def _batches(data: Path | None, folder: str, files: list[str], key: str) -> Samples:
    images, labels = [], []
    for file in files:
        content = _content(data, folder, file)
        try:
            batch = _OnlyArrays(io.BytesIO(content), encoding="latin1").load()
            pixels, classes = np.asarray(batch["data"], dtype=np.uint8), np.asarray(batch[key], dtype=np.int64)
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise _damaged(folder, file, str(error)) from error
        if pixels.ndim != 2 or pixels.shape != (len(classes), 3072):
            raise _damaged(folder, file, f"images of shape {pixels.shape} for {len(classes)} labels")
        images.append(pixels)
        labels.append(classes)
    return _samples(np.concatenate(images), np.concatenate(labels))


class _OnlyArrays(pickle.Unpickler):
    """Of all that a pickle may run only what makes arrays."""

    def find_class(self, module: str, name: str) -> Any:
        of_numpy = module.partition(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype")
        if of_numpy or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it wants {module}.{name}, which no array needs")


def _content(data: Path | None, folder: str, file: str) -> bytes:
    if data is None:
        raise ConfigurationError(
            f"This sequence needs files: --data-dir DIR, with {folder}/{file} in it; {_get(folder)}."
        )
    path = data / folder / file
    packed = path.with_name(f"{file}.gz")
    try:
        if packed.is_file():
            return gzip.decompress(packed.read_bytes())
        return path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, FileNotFoundError):
            raise ConfigurationError(f"There is no {path}, nor {packed.name}; {_get(folder)}.") from error
        raise ConfigurationError(
            f"{packed if packed.is_file() else path} cannot be read: {error}; {_get(folder)}."
        ) from error


def _damaged(folder: str, file: str, how: str) -> ConfigurationError:
    return ConfigurationError(f"{folder}/{file} is damaged: {how}; {_get(folder)}.")


def _get(folder: str) -> str:
    return f"get it from {WHERE[folder]}"


def _samples(images: Any, labels: Any) -> Samples:
    return Samples(torch.from_numpy(images.astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64)))
