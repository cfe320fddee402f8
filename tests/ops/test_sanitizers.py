"""The kernels built with address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparse_agents.ops import supported_isas

pytestmark = pytest.mark.sanitized
KERNELS = Path(__file__).parents[2] / "kernels"
SCRIPT = Path(__file__).with_name("sanitized_kernels.py")


def call(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def runtimes() -> str:
    """The sanitizers' libraries, to be loaded before everything else."""
    if sys.platform != "linux" or not shutil.which("g++") or not shutil.which("cmake"):
        pytest.skip("needs g++ and cmake on Linux")
    found = [call("g++", f"-print-file-name={name}").stdout.strip() for name in ("libasan.so", "libubsan.so")]
    if not all(Path(path).is_absolute() and Path(path).exists() for path in found):
        pytest.skip("this compiler has no sanitizer libraries")
    return ":".join(found)


@pytest.fixture(scope="module")
def library(runtimes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build = tmp_path_factory.mktemp("sanitized")
    configured = call("cmake", "-S", KERNELS, "-B", build, "-DSA_SANITIZE=ON", "-DCMAKE_CXX_COMPILER=g++")
    assert configured.returncode == 0, configured.stderr
    built = call("cmake", "--build", build, "--parallel", "2")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "warning:" not in built.stdout + built.stderr
    return build / "libsparse_agents_cpu.so"


@pytest.mark.parametrize("script", [SCRIPT, SCRIPT.with_name("sanitized_program.py")], ids=["networks", "programs"])
def test_odd_shapes_in_guarded_memory(script: Path, library: Path, runtimes: str) -> None:
    """Every instruction set, results compared, no byte read or written outside its array."""
    done = call(
        sys.executable,
        script,
        library,
        LD_PRELOAD=runtimes,
        ASAN_OPTIONS="detect_leaks=0:abort_on_error=0",
        UBSAN_OPTIONS="print_stacktrace=1",
        OMP_NUM_THREADS="2",
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert "runtime error" not in done.stderr
    assert "AddressSanitizer" not in done.stderr
    assert done.stdout.split() == supported_isas()


def emulated(code: str, runtimes: str) -> subprocess.CompletedProcess[str]:
    """Kernels of CUDA devices, on the emulator."""
    asan = "detect_leaks=0:detect_stack_use_after_return=0"  # threads of a block are fibers
    return call(
        sys.executable, "-c", code, LD_PRELOAD=runtimes, ASAN_OPTIONS=asan, UBSAN_OPTIONS="print_stacktrace=1",
        SPARSE_AGENTS_SANITIZED="1",
    )  # fmt: skip


EMULATED = "import sys, pytest; sys.exit(pytest.main(['-q', '-n', '0', '-p', 'no:cacheprovider', *{arguments!r}]))"


def test_kernels_of_devices(runtimes: str) -> None:
    """On the emulator, of which a block has no more memory than it asks for."""
    folder = Path(__file__).parent
    tests = [str(folder / "cuda" / name) for name in ("test_network.py", "test_chains.py")]
    done = emulated(EMULATED.format(arguments=[*tests, str(folder / "test_program.py")]), runtimes)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "runtime error" not in done.stderr
    assert "AddressSanitizer" not in done.stderr


def test_the_guard_of_the_emulator_is_awake(runtimes: str) -> None:
    """A gradient one value short."""
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent / 'cuda')!r}]\n"
        "import torch; from emulation import EmulatedLauncher; from sparse_agents.ops import program\n"
        "from sparse_agents.ops.cuda import DeviceProgram, Processor\n"
        "short, long = torch.ones(1024), torch.ones(1025)\n"
        "step = program.Polyak.of(tensors=1, tau=0.5, size=[1025], online=[long], target=[short])\n"
        "DeviceProgram([step], EmulatedLauncher(Processor(4, 1 << 15))).run()\n"
    )
    done = emulated(code, runtimes)
    assert done.returncode != 0
    assert "ERROR: AddressSanitizer" in done.stderr


def test_the_guard_is_awake(library: Path, runtimes: str) -> None:
    """A workspace one value short is noticed; otherwise the test above proves nothing."""
    shortened = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np, sanitized_kernels as s\n"
        "original = s.Memory.__init__\n"
        "s.Memory.__init__ = lambda self, like, fill=False: "
        "original(self, like[:-1] if fill and like.ndim == 1 else like, fill)\n"
        "s.main(sys.argv[2])\n"
    )
    done = call(
        sys.executable, "-c", shortened, SCRIPT.parent, library, LD_PRELOAD=runtimes, ASAN_OPTIONS="detect_leaks=0"
    )
    assert done.returncode != 0
    assert "ERROR: AddressSanitizer" in done.stderr
