"""Kernels from their sources, by NVRTC: no CUDA toolkit is needed but what pip installs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sparse_agents.errors import ConfigurationError
from sparse_agents.ops.cuda import sources
from sparse_agents.ops.cuda.kernel import Kernel

NEEDED = (
    "kernels for CUDA devices need cuda-core. pip install sparse-agents[cuda13], or [cuda12] for drivers before 580."
)
CACHE_VARIABLE = "SPARSE_AGENTS_CUDA_CACHE"


class KernelCompileError(RuntimeError):
    """NVRTC refused a kernel; the message has its log."""


def cubin(kernel: Kernel, architecture: str) -> bytes:
    """Machine code for ``"sm_90"`` and the like, from the cache where it has been compiled before.

    Raises:
        ConfigurationError: where cuda-core is not installed.
        KernelCompileError: where the compiler refuses.
    """
    path = _cache() / f"{_title(kernel)}-{architecture}-{_toolkit()}-{sources.digest()}.cubin"
    with contextlib.suppress(OSError):
        return path.read_bytes()
    code = _compile(kernel, architecture)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time alone
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(code)
        Path(draft).replace(path)
    return code


def _compile(kernel: Kernel, architecture: str) -> bytes:
    core, source = _cuda_core(), sources.text(kernel.source)
    options = core.ProgramOptions(
        name=kernel.source,
        arch=architecture,
        std="c++17",
        include_path=[str(sources.folder() / "include")],
        define_macro=[(name, str(value)) for name, value in kernel.defines] or None,
    )
    try:
        code: bytes = core.Program(source, code_type="c++", options=options).compile("cubin").code
    except Exception as error:  # NVRTC's own has no public name
        raise KernelCompileError(f"{_title(kernel)} does not compile for {architecture}:\n{error}") from error
    return code


def _cuda_core() -> Any:
    try:
        import cuda.core
    except ImportError as error:
        raise ConfigurationError(NEEDED) from error
    return cuda.core


def available() -> bool:
    """Whether there is a compiler."""
    try:
        return importlib.util.find_spec("cuda.core") is not None
    except ModuleNotFoundError:  # no package of that family at all
        return False


def _toolkit() -> str:
    """A driver does not load what a compiler made that is newer than itself."""
    try:
        return version("cuda-bindings")
    except PackageNotFoundError:
        return "none"


def _title(kernel: Kernel) -> str:
    return "-".join(
        [Path(kernel.source).stem, *(f"{name.removeprefix('SA_')}{value}" for name, value in kernel.defines)]
    )


def _cache() -> Path:
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparse_agents" / "cuda"
