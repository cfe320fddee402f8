"""A launcher that runs kernels on the host: kernels/emulator."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from sparse_agents.ops.cuda import Kernel, Processor
from sparse_agents.ops.cuda.kernel import Grid

KERNELS = Path(__file__).parents[3] / "kernels"
SANITIZED = "SPARSE_AGENTS_SANITIZED" in os.environ
"""Whether kernels are built with sanitizers, whose libraries then have to be loaded before everything else."""
BUILT = Path(tempfile.gettempdir()) / f"sparse_agents_emulated{'_sanitized' if SANITIZED else ''}"


class EmulatedLauncher:
    """Blocks one after the other, threads in an order drawn at random.

    Attributes:
        seed: of that order.
        launches: kernels and grids so far.
        captures: graphs so far.
    """

    def __init__(self, processor: Processor, seed: int = 0) -> None:
        if shutil.which("g++") is None:
            pytest.skip("needs g++")
        self.processor, self.seed = processor, seed
        self.launches: list[tuple[Kernel, Grid]] = []
        self.captures = 0

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

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Whatever it launches is launched again each time, with the numbers of that time."""
        self.captures += 1
        return work


_loaded: dict[tuple[object, ...], ctypes.CDLL] = {}


def _library(kernel: Kernel) -> ctypes.CDLL:
    """Built once for each source and its macros, but for the number of threads, which is for the device's registers."""
    kernel = replace(kernel, defines=tuple(one for one in kernel.defines if one[0] != "SA_THREADS"))
    sources = sorted(path for path in KERNELS.rglob("*") if path.suffix in (".cu", ".h", ".cpp"))
    key = kernel.source, kernel.defines
    if key not in _loaded:
        content = hashlib.sha256(repr(key).encode())
        for source in sources:
            content.update(source.read_bytes())
        path = BUILT / f"{content.hexdigest()[:24]}.so"
        if not path.is_file():
            _build(kernel, path)
        _loaded[key] = ctypes.CDLL(str(path))
    return _loaded[key]


def _build(kernel: Kernel, path: Path) -> None:
    text = (KERNELS / "cuda" / kernel.source).read_text()
    names = re.findall(r"__global__ void (?:__launch_bounds__\(\w+\) )?(\w+)\(", text)
    BUILT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILT) as folder:
        draft = Path(folder) / "draft.so"
        defines = [f'-DSA_SOURCE="../cuda/{kernel.source}"']
        defines += ["-DSA_KERNELS=" + " ".join(f"KERNEL({name})" for name in names)]
        defines += [f"-D{name}={value}" for name, value in kernel.defines]
        _compile("-shared", *defines, "-o", draft, KERNELS / "emulator" / "binding.cpp", _runtime())
        draft.replace(path)


@lru_cache(maxsize=1)
def _runtime() -> Path:
    """What all of them are linked with."""
    sources = [KERNELS / "emulator" / name for name in ("emulator.cpp", "emulator.h")]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:24]
    path = BUILT / f"{digest}.o"
    if not path.is_file():
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:
            draft = Path(folder) / "draft.o"
            _compile("-c", "-o", draft, sources[0])
            draft.replace(path)
    return path


def _compile(*arguments: str | Path) -> None:
    command = ["g++", "-std=c++17", "-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    command += ["-Wno-unused-parameter", "-Wno-unused-function", "-Wno-unused-const-variable"]
    command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"] if SANITIZED else []
    command += [f"-I{KERNELS / 'include'}", f"-I{KERNELS / 'emulator'}"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
