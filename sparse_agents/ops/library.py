"""Finding, loading and describing the compiled kernels."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from sparse_agents.errors import ConfigurationError

ISA_VARIABLE = "SPARSE_AGENTS_ISA"
DISABLE_VARIABLE = "SPARSE_AGENTS_NO_NATIVE"
INSTRUCTION_SETS = ("avx512", "avx2", "baseline")

_STATUS = {
    1: "out of memory",
    2: "a bad argument",
    3: "row pointers that do not count the connections",
    4: "columns out of range, unsorted or repeated",
    5: "a transpose that does not describe the same connections",
}


class KernelError(RuntimeError):
    """A kernel refused its arguments."""


class LayerStruct(ctypes.Structure):
    """``sa_layer`` of kernels/include/sparse_agents/network.h."""

    _fields_ = [
        ("rows", ctypes.c_int32),
        ("cols", ctypes.c_int32),
        ("activation", ctypes.c_int32),
        ("row_ptr", ctypes.c_void_p),
        ("col", ctypes.c_void_p),
        ("col_ptr", ctypes.c_void_p),
        ("row", ctypes.c_void_p),
        ("slot", ctypes.c_void_p),
    ]


_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "sa_isa": (ctypes.c_char_p, ()),
    "sa_isa_select": (_INT, (ctypes.c_char_p,)),
    "sa_isa_supported": (_INT, (ctypes.c_char_p,)),
    "sa_layer_check": (_INT, (ctypes.POINTER(LayerStruct),)),
    "sa_network_create": (_INT, (ctypes.POINTER(LayerStruct), _INT, _INT, ctypes.POINTER(_POINTER))),
    "sa_network_destroy": (None, (_POINTER,)),
    "sa_tile_width": (_LONG, (_POINTER, _LONG)),
    "sa_workspace_bytes": (_LONG, (_POINTER, _LONG)),
    "sa_network_forward": (_INT, (_POINTER, _LONG, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _INT)),
    "sa_network_backward": (
        _INT,
        (_POINTER, _LONG, _POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER, _POINTER, _POINTER, _INT),
    ),
    "sa_operation_bytes": (_LONG, (_INT,)),
    "sa_program_run": (_INT, (_POINTER, _LONG, _INT, _INT)),
}

_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def threads() -> int:
    """Threads a kernel may use: torch's setting, but one in a forked child (OpenMP may hang there)."""
    return 1 if _forked else torch.get_num_threads()


def check(status: int, what: str) -> None:
    """Raise on a kernel's error code.

    Raises:
        MemoryError, KernelError: naming ``what``.
    """
    if status == 1:
        raise MemoryError(f"{what}: out of memory.")
    if status:
        raise KernelError(f"{what}: {_STATUS.get(status, f'status {status}')}.")


def _path() -> Path | None:
    spec = importlib.util.find_spec("sparse_agents")  # an editable install has several locations
    assert spec is not None
    for location in spec.submodule_search_locations or ():
        for name in ("libsparse_agents_cpu.so", "libsparse_agents_cpu.dylib"):
            path = Path(location) / "_native" / name
            if path.is_file():
                return path
    return None


@dataclass(frozen=True)
class _Loaded:
    library: ctypes.CDLL | None
    path: Path | None
    problem: str | None


@lru_cache(maxsize=1)
def _load() -> _Loaded:
    if os.environ.get(DISABLE_VARIABLE):
        return _Loaded(None, None, f"{DISABLE_VARIABLE} is set")
    path = _path()
    if path is None:
        return _Loaded(None, None, "the kernel library was not built; install with a C++17 compiler (g++ or clang++)")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return _Loaded(None, path, f"the kernel library does not load: {error}")
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
    wanted = os.environ.get(ISA_VARIABLE)
    if wanted and library.sa_isa_select(wanted.encode()):
        supported = [name for name in INSTRUCTION_SETS if library.sa_isa_supported(name.encode())]
        raise ConfigurationError(f"{ISA_VARIABLE}={wanted!r}: this machine runs {', '.join(supported)}.")
    return _Loaded(library, path, None)


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The loaded kernels, or None after one warning that says how to get them."""
    loaded = _load()
    if loaded.library is None and not os.environ.get(DISABLE_VARIABLE):
        warnings.warn(
            f"sparse_agents runs on its slow reference path: {loaded.problem}. "
            "See sparse_agents.backend_info() for the details.",
            RuntimeWarning,
            stacklevel=3,
        )
    return loaded.library


def select_isa(name: str) -> None:
    """Force an instruction set for networks built from now on; for tests and benchmarks."""
    kernels = library()
    if kernels is None or kernels.sa_isa_select(name.encode()):
        raise ConfigurationError(f"Instruction set {name!r} is not available here: {', '.join(supported_isas())}.")


def supported_isas() -> list[str]:
    """Instruction sets this machine and this build can run, fastest first."""
    kernels = library()
    if kernels is None:
        return []
    return [name for name in INSTRUCTION_SETS if kernels.sa_isa_supported(name.encode())]


@dataclass(frozen=True)
class BackendInfo:
    """Which kernels run, and why not faster ones."""

    backend: str
    isa: str | None
    library: str | None
    threads: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"backend: {self.backend}" + (f" ({self.isa})" if self.isa else ""), f"threads: {self.threads}"]
        if self.library:
            lines.append(f"library: {self.library}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _openmp_copies() -> set[str]:
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        return set()
    names = {line.split()[-1] for line in maps.read_text().splitlines() if "/" in line}
    return {name for name in names if Path(name).name.startswith(("libgomp", "libomp", "libiomp"))}


def backend_info() -> BackendInfo:
    """Kernels in use, for which instruction set, and why not a faster one."""
    loaded = _load()
    notes = []
    if loaded.problem:
        notes.append(loaded.problem)
    isa = loaded.library.sa_isa().decode() if loaded.library else None
    if isa and isa != INSTRUCTION_SETS[0] and platform.machine().lower() in ("x86_64", "amd64"):
        missing = INSTRUCTION_SETS[: INSTRUCTION_SETS.index(isa)]
        notes.append(f"{', '.join(missing)}: not offered by this processor, this build or {ISA_VARIABLE}")
    copies = _openmp_copies()
    if len(copies) > 1:
        notes.append(f"several OpenMP runtimes are loaded, which costs speed: {', '.join(sorted(copies))}")
    return BackendInfo(
        backend="native" if loaded.library else "reference",
        isa=isa,
        library=str(loaded.path) if loaded.path else None,
        threads=threads(),
        notes=tuple(notes),
    )
