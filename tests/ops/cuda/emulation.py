"""A launcher that runs kernels on the host: kernels/emulator."""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sparse_agents.ops.cuda import Kernel, Processor
from sparse_agents.ops.cuda.kernel import Grid

KERNELS = Path(__file__).parents[3] / "kernels"
BUILT = Path(tempfile.gettempdir()) / "sparse_agents_emulated"


class EmulatedLauncher:
    """Blocks one after the other, threads in an order drawn at random.

    Attributes:
        seed: of that order.
        launches: kernels and grids so far.
    """

    def __init__(self, processor: Processor, seed: int = 0) -> None:
        if shutil.which("g++") is None:
            pytest.skip("needs g++")
        self.processor, self.seed = processor, seed
        self.launches: list[tuple[Kernel, Grid]] = []

    def launch(self, kernel: Kernel, grid: Grid, block: Grid, shared: int, arguments: Sequence[Any]) -> None:
        self.launches.append((kernel, grid))
        self.seed += 1
        pointers = (ctypes.c_void_p * len(arguments))(*[ctypes.addressof(one) for one in arguments])
        emulate = _library(kernel).emulate
        emulate.restype = ctypes.c_char_p
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)
        problem = emulate(
            kernel.name.encode(), *sizes, ctypes.c_size_t(shared), pointers, len(arguments), ctypes.c_uint(self.seed)
        )
        assert problem is None, f"{kernel}: {problem.decode()}"


_loaded: dict[Path, ctypes.CDLL] = {}


def _library(kernel: Kernel) -> ctypes.CDLL:
    """Built once for each source and its macros."""
    sources = sorted(path for path in KERNELS.rglob("*") if path.suffix in (".cu", ".h", ".cpp"))
    content = hashlib.sha256(repr((kernel.source, kernel.defines)).encode())
    for source in sources:
        content.update(source.read_bytes())
    path = BUILT / f"{content.hexdigest()[:24]}.so"
    if path not in _loaded:
        if not path.is_file():
            _build(kernel, path)
        _loaded[path] = ctypes.CDLL(str(path))
    return _loaded[path]


def _build(kernel: Kernel, path: Path) -> None:
    text = (KERNELS / "cuda" / kernel.source).read_text()
    names = re.findall(r"__global__ void (?:__launch_bounds__\(\w+\) )?(\w+)\(", text)
    BUILT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        draft = Path(folder) / "draft.so"
        command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
        command += [
            "-Wno-unknown-pragmas",
            "-Wno-unused-parameter",
            "-Wno-unused-function",
            "-Wno-unused-const-variable",
        ]
        command += [f"-I{KERNELS / 'include'}", f"-I{KERNELS / 'emulator'}", f'-DSA_SOURCE="../cuda/{kernel.source}"']
        command += ["-DSA_KERNELS=" + " ".join(f"KERNEL({name})" for name in names)]
        command += [f"-D{name}={value}" for name, value in kernel.defines]
        command += ["-o", str(draft), str(KERNELS / "emulator" / "emulator.cpp")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        draft.replace(path)
