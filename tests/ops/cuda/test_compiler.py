"""Every kernel compiles for every architecture, with no GPU in sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_agents.ops.cuda import Kernel, compiler, sources
from sparse_agents.ops.cuda.chains import ASCEND
from sparse_agents.ops.cuda.layered import ADD_PARTS

pytest.importorskip("cuda.core")
KERNELS = Path(__file__).parents[3] / "kernels"
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")


def layer(lanes: int, entries: int, stages: int, threads: int = 512, block: int = 1) -> Kernel:
    values = {"LANES": lanes, "ENTRIES": entries, "BLOCK": block}
    values |= {"STAGES": stages, "PART": 2048, "THREADS": threads}
    defines = tuple((f"SA_{name}", value) for name, value in values.items())
    return Kernel("layer.cu", "sparse_forward", defines)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(compiler.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "kernel",
    [
        ADD_PARTS,
        ASCEND,
        Kernel("program.cu", "adam"),
        layer(4, 1, 3, 32),
        layer(16, 8, 0),
        layer(32, 32, 3),
        layer(32, 4, 3, 512, 4),
        layer(32, 4, 3, 256, 8),
    ],
    ids=["boundary", "chain", "program", "4", "16", "32", "blocks of 4", "blocks of 8"],
)
def test_it_compiles(kernel: Kernel, architecture: str, cache: Path) -> None:
    assert compiler.cubin(kernel, architecture)[:4] == b"\x7fELF"


def test_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compiler.cubin(ADD_PARTS, "sm_90")
    monkeypatch.setattr(compiler, "_compile", None)
    assert compiler.cubin(ADD_PARTS, "sm_90") == first
    monkeypatch.setattr(sources, "digest", lambda: "of other sources")
    with pytest.raises(TypeError):
        compiler.cubin(ADD_PARTS, "sm_90")


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiler.CACHE_VARIABLE, "/proc/nowhere")
    assert compiler.cubin(ADD_PARTS, "sm_80")


def test_what_the_compiler_says_is_passed_on(cache: Path) -> None:
    without = Kernel("layer.cu", "sparse_forward", (("SA_LANES", 4),))
    with pytest.raises(compiler.KernelCompileError, match=r"layer-LANES4 does not compile for sm_90[\s\S]*SA_ENTRIES"):
        compiler.cubin(without, "sm_90")


def test_installed_sources_are_those_of_the_repository() -> None:
    for path in [*KERNELS.glob("cuda/*.cu"), *KERNELS.glob("include/sparse_agents/cuda/*.h")]:
        installed = sources.folder() / path.relative_to(KERNELS)
        assert installed.read_text() == path.read_text(), "make install"
