"""Finding the kernels, choosing an instruction set, and refusing damaged index arrays."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import pytest
import torch
from helpers import random_graph, run_python
from torch import Tensor

from sparse_agents import ConfigurationError
from sparse_agents.ops import backend_info, library, select_isa, supported_isas
from sparse_agents.ops.library import INSTRUCTION_SETS, KernelError, LayerStruct
from sparse_agents.ops.native import NativeNetwork
from sparse_agents.topology import Edges

Arrays = dict[str, Tensor]
NAMES = ("row_ptr", "col", "col_ptr", "row", "slot")
OK, BAD_ARGUMENT, BAD_ROW_POINTER, BAD_COLUMN, BAD_TRANSPOSE = 0, 2, 3, 4, 5


def arrays_of(edges: Edges) -> Arrays:
    return dict(zip(NAMES, (t.clone() for t in (edges.row_ptr, edges.col, *edges.transpose)), strict=True))


def status(shape: tuple[int, int], arrays: Arrays) -> int:
    layer = LayerStruct(rows=shape[0], cols=shape[1], activation=0)
    for name, array in arrays.items():
        setattr(layer, name, array.data_ptr())
    kernels = library.library()
    assert kernels is not None
    return int(kernels.sa_layer_check(ctypes.byref(layer)))


MASK = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]], dtype=torch.bool)


@pytest.mark.parametrize(
    "edges",
    [
        Edges.from_mask(MASK),
        Edges.from_mask(~MASK),
        Edges.from_mask(torch.zeros(3, 4, dtype=torch.bool)),
        Edges.from_mask(torch.ones(1, 1, dtype=torch.bool)),
        random_graph(40, 30, 0.3),
    ],
)
def test_a_graph_passes(edges: Edges) -> None:
    assert status(edges.shape, arrays_of(edges)) == OK


def put(name: str, index: int, value: int) -> Callable[[Arrays], None]:
    def damage(arrays: Arrays) -> None:
        arrays[name][index] = value

    return damage


def swap(name: str, i: int, j: int) -> Callable[[Arrays], None]:
    def damage(arrays: Arrays) -> None:
        arrays[name][[i, j]] = arrays[name][[j, i]]

    return damage


# MASK has rows {0, 1, 3}, {}, {0, 2, 3}; columns {0, 2}, {0}, {2}, {0, 2}.
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (put("row_ptr", 0, 1), BAD_ROW_POINTER),
        (put("row_ptr", 0, -1), BAD_ROW_POINTER),
        (put("row_ptr", 1, 5), BAD_ROW_POINTER),
        (put("row_ptr", 1, -1), BAD_ROW_POINTER),
        (put("row_ptr", 3, -6), BAD_ROW_POINTER),
        (put("row_ptr", 2, 1000), BAD_ROW_POINTER),
        (put("col", 0, -1), BAD_COLUMN),
        (put("col", 2, 4), BAD_COLUMN),
        (put("col", 5, 2**31 - 1), BAD_COLUMN),
        (put("col", 5, -(2**31)), BAD_COLUMN),
        (put("col", 1, 0), BAD_COLUMN),
        (swap("col", 0, 1), BAD_COLUMN),
        (swap("col", 3, 5), BAD_COLUMN),
        (put("col", 1, 2), BAD_TRANSPOSE),
        (put("row_ptr", 1, 2), BAD_TRANSPOSE),
        (put("col_ptr", 0, 1), BAD_TRANSPOSE),
        (put("col_ptr", 4, 5), BAD_TRANSPOSE),
        (put("col_ptr", 1, 4), BAD_TRANSPOSE),
        (put("col_ptr", 1, 1), BAD_TRANSPOSE),
        (put("col_ptr", 1, -1), BAD_TRANSPOSE),
        (put("row", 0, 2), BAD_TRANSPOSE),
        (put("row", 0, 1), BAD_TRANSPOSE),
        (put("row", 5, 3), BAD_TRANSPOSE),
        (put("row", 5, -1), BAD_TRANSPOSE),
        (swap("row", 0, 1), BAD_TRANSPOSE),
        (put("slot", 0, 1), BAD_TRANSPOSE),
        (put("slot", 5, 6), BAD_TRANSPOSE),
        (put("slot", 5, -1), BAD_TRANSPOSE),
        (put("slot", 5, 2**31 - 1), BAD_TRANSPOSE),
        (swap("slot", 0, 1), BAD_TRANSPOSE),
        (swap("slot", 2, 3), BAD_TRANSPOSE),
    ],
)
def test_damaged_arrays_are_refused(damage: Callable[[Arrays], None], expected: int) -> None:
    arrays = arrays_of(Edges.from_mask(MASK))
    damage(arrays)
    assert status((3, 4), arrays) == expected


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (-1, 4), (3, -4)])
def test_shapes_without_units_are_refused(shape: tuple[int, int]) -> None:
    assert status(shape, arrays_of(Edges.from_mask(MASK))) == BAD_ARGUMENT


def test_transpose_of_another_graph_is_refused() -> None:
    arrays = arrays_of(Edges.from_mask(MASK))
    other = MASK.clone()
    other[0, 1], other[0, 2] = False, True
    arrays |= {
        name: array for name, array in arrays_of(Edges.from_mask(other)).items() if name not in ("row_ptr", "col")
    }
    assert status((3, 4), arrays) == BAD_TRANSPOSE


def test_network_refuses_damaged_edges_before_it_reads_them() -> None:
    edges = Edges((3, 4), torch.tensor([0, 1, 2, 3], dtype=torch.int32), torch.tensor([0, 4, 1], dtype=torch.int32))
    edges.__dict__["transpose"] = Edges.from_mask(torch.eye(3, 4, dtype=torch.bool)).transpose
    with pytest.raises(KernelError, match="columns out of range"):
        NativeNetwork([edges], ["identity"], torch.float32)


def test_instruction_sets_are_listed_fastest_first_and_can_be_chosen() -> None:
    names = supported_isas()
    assert "baseline" in names
    assert names == [name for name in INSTRUCTION_SETS if name in names]
    for name in names:
        select_isa(name)
        assert backend_info().isa == name


@pytest.mark.parametrize("name", ["sse9", "", "AVX2"])
def test_unknown_instruction_set_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name!r} is not available here: .*baseline"):
        select_isa(name)


def test_backend_info_describes_what_runs() -> None:
    info = backend_info()
    assert info.backend == "native"
    assert info.isa == supported_isas()[0]
    assert info.threads == torch.get_num_threads()
    assert info.library is not None
    assert f"backend: native ({info.isa})" in str(info)
    assert info.library in str(info)
    select_isa("baseline")
    if len(supported_isas()) > 1:
        assert any("not offered by this processor" in note for note in backend_info().notes)


BROKEN = """
import pathlib, sys, warnings
import torch
from sparse_agents.ops import library
library._path = lambda: {path}
from sparse_agents import SparseLinear, backend_info
from sparse_agents.nn import SparseSequential
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    layer = SparseLinear(20, 10, sparsity=0.5)
    network = SparseSequential(SparseLinear(20, 10, sparsity=0.5), torch.nn.ReLU(), SparseLinear(10, 3, sparsity=0.5))
    for _ in range(3):
        x = torch.randn(7, 20, requires_grad=True)
        torch.testing.assert_close(layer(x), layer.to_dense()(x))
        network(x).square().sum().backward()
ours = [w for w in caught if issubclass(w.category, RuntimeWarning)]
assert len(ours) == 1, [str(w.message) for w in caught]
assert "slow reference path" in str(ours[0].message) and "{reason}" in str(ours[0].message), ours[0].message
assert layer.weight.grad is None and network[0].weight.grad.abs().sum() > 0
info = backend_info()
assert info.backend == "reference" and any("{reason}" in note for note in info.notes), info
"""


def test_missing_library_costs_one_warning_and_speed() -> None:
    done = run_python(BROKEN.format(path="None", reason="not built"))
    assert done.returncode == 0, done.stderr


def test_library_that_does_not_load_costs_one_warning_and_speed() -> None:
    done = run_python(BROKEN.format(path="pathlib.Path(library.__file__)", reason="does not load"))
    assert done.returncode == 0, done.stderr


CHOSEN = """
import torch
from sparse_agents import SparseLinear, backend_info
layer = SparseLinear(20, 10, sparsity=0.5)
x = torch.randn(7, 20)
torch.testing.assert_close(layer(x), layer.to_dense()(x))
print(backend_info().isa)
"""


def test_instruction_set_chosen_by_the_environment() -> None:
    done = run_python(CHOSEN, SPARSE_AGENTS_ISA="baseline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "baseline"


def test_nonsense_instruction_set_in_the_environment_is_refused_by_name() -> None:
    done = run_python(CHOSEN, SPARSE_AGENTS_ISA="quantum")
    assert done.returncode != 0
    assert "ConfigurationError: SPARSE_AGENTS_ISA='quantum': this machine runs " in done.stderr
    assert "baseline" in done.stderr


FORKED = """
import os, torch
from sparse_agents.nn import SparseLinear
from sparse_agents.ops.library import threads
torch.set_num_threads(2)
layer = SparseLinear(256, 256, sparsity=0.5)
x = torch.randn(512, 256)
with torch.no_grad():
    expected = layer(x)
child = os.fork()
if child == 0:
    with torch.no_grad():
        same = layer(x).numpy().tobytes() == expected.numpy().tobytes()  # torch's own threads may hang here
    os._exit(0 if same and threads() == 1 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert threads() == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_computes_alone_and_does_not_hang() -> None:
    """The parent's OpenMP threads do not exist in the child."""
    done = run_python(FORKED, timeout=60)
    assert done.returncode == 0, done.stderr
