"""Large layers on a CUDA device: ours, dense ones with and without TF32, and cuSPARSE."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.benchmark.timing import Record
from sparse_agents.nn import SparseLinear
from sparse_agents.topology import Edges, Topology

DENSE = "nn.Linear"
CSR = "torch CSR (cuSPARSE)"
TURNS = 5
WARM_UP = 3


@dataclass(frozen=True)
class Device:
    """What figures are of."""

    gpu: str
    capability: str
    driver: str
    torch: str
    cuda: str | None

    @classmethod
    def here(cls) -> Device:
        """The first CUDA device."""
        about = torch.cuda.get_device_properties(0)
        return cls(about.name, f"{about.major}.{about.minor}", _driver(), torch.__version__, torch.version.cuda)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _driver() -> str:
    """Its version, by the tool that comes with it."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cuda_layers(
    size: int = 4096, batch: int = 1024, sparsities: Sequence[float] = (0.8, 0.9, 0.95, 0.98)
) -> Iterator[Record]:
    """Forward and backward of a square layer, input gradients included, in float32."""
    x, gradient = (torch.randn(batch, size, device="cuda") for _ in range(2))
    x.requires_grad_()
    case = f"layer {size}x{size}, CUDA"
    for sparsity in sparsities:
        edges, blocks = (Edges.from_mask(_mask(size, sparsity, block)) for block in (1, 4))
        ours, blocked = (SparseLinear(size, size, topology=Topology(e)).cuda() for e in (edges, blocks))
        dense = nn.Linear(size, size, device="cuda")
        calls = {
            DENSE: _pass(dense, x, gradient),
            "nn.Linear, TF32": _with_tf32(_pass(dense, x, gradient)),
            CSR: _csr_pass(edges, x.detach(), gradient),
            "sparse_agents": _pass(ours, x, gradient),
            "sparse_agents, blocks of 4 by 4": _pass(blocked, x, gradient),
        }
        seconds = device_seconds(calls)
        for name, value in seconds.items():
            if name != DENSE:
                yield Record(case, sparsity, batch, 0, name, DENSE, value, seconds[DENSE], seconds[DENSE] / value)


def _mask(size: int, sparsity: float, block: int) -> Tensor:
    """Squares of ``block`` units by as many inputs are there or not."""
    coarse = torch.rand(size // block, size // block, device="cuda") >= sparsity
    return coarse.repeat_interleave(block, 0).repeat_interleave(block, 1)


HEAD_START = 20_000_000
"""Cycles, some ten milliseconds: the device waits while calls are enqueued."""


def device_seconds(calls: Mapping[str, Callable[[], object]], repeats: int = 20) -> dict[str, float]:
    """Median seconds of each contender on the device, the contenders taking turns; what fits into the device's cache is
    there.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    torch.cuda.synchronize()
    for _ in range(TURNS):
        for name, call in calls.items():
            torch.cuda._sleep(HEAD_START)  # else what takes longer to ask for than to do is measured by its asking
            begins, ends = ([torch.cuda.Event(enable_timing=True) for _ in range(repeats)] for _ in range(2))
            for begin, end in zip(begins, ends, strict=True):
                begin.record()
                call()
                end.record()
            torch.cuda.synchronize()
            times[name] += [begin.elapsed_time(end) / 1e3 for begin, end in zip(begins, ends, strict=True)]
    return {name: statistics.median(values) for name, values in times.items()}


def _pass(module: nn.Module, x: Tensor, gradient: Tensor) -> Callable[[], None]:
    wanted = [x, *module.parameters()]

    def call() -> None:
        torch.autograd.grad(module(x), wanted, gradient)

    return call


def _with_tf32(call: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            call()
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    return run


def _csr_pass(edges: Edges, x: Tensor, gradient: Tensor) -> Callable[[], None]:
    """The three products by cuSPARSE, the second sampled at the connections, both directions stored."""
    rows, cols = edges.shape
    values = torch.randn(edges.nnz, device=x.device)
    by_row = torch.sparse_csr_tensor(edges.row_ptr, edges.col, values, size=(rows, cols))
    column = edges.transpose
    by_column = torch.sparse_csr_tensor(column.col_ptr, column.row, values[column.slot.long()], size=(cols, rows))
    inputs, gradients = x.t().contiguous(), gradient.t().contiguous()

    def call() -> None:
        by_row @ inputs
        by_column @ gradients
        torch.sparse.sampled_addmm(by_row, gradients, x, beta=0.0)

    return call
