"""The compiled kernels against full matrices in float64."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TOLERANCE, Array, DenseChain, as_array, dense_matrix, positions, random_graph, relative_error
from torch import Tensor

from sparse_agents.ops import MAX_LAYERS, NativeNetwork, select_isa, supported_isas
from sparse_agents.ops.library import KernelError
from sparse_agents.ops.native import Workspace
from sparse_agents.topology import Edges, full_edges

DTYPES = [torch.float32, torch.float64]
BATCHES = [1, 7, 64, 100, 257]


@dataclass(frozen=True)
class Net:
    widths: tuple[int, ...]
    activations: tuple[str, ...]
    density: float = 0.4
    biased: tuple[bool, ...] = ()

    def edges(self) -> list[Edges]:
        return [
            random_graph(rows, cols, self.density, seed)
            for seed, (cols, rows) in enumerate(zip(self.widths[:-1], self.widths[1:], strict=True))
        ]


NETS = {
    "single": Net((13, 9), ("identity",)),
    "single relu, no bias": Net((13, 9), ("relu",), biased=(False,)),
    "single tanh": Net((9, 17), ("tanh",)),
    "one connection": Net((1, 1), ("identity",), 1.0),
    "one input": Net((1, 19, 3), ("tanh", "identity"), 0.7),
    "one output": Net((23, 16, 1), ("relu", "tanh"), 0.5),
    "policy": Net((11, 64, 48, 3), ("relu", "relu", "tanh"), 0.2),
    "mixed": Net((5, 40, 7, 33, 2), ("tanh", "relu", "identity", "tanh"), 0.5, (False, True, False, True)),
    "full": Net((20, 31, 12), ("relu", "identity"), 1.0),
    "few": Net((40, 60, 50), ("tanh", "identity"), 0.02),
}
# Rows of enough connections, over columns enough, to be cut into blocks for every vector width.
BLOCKED = Net((1100, 1060, 1100), ("tanh", "relu"), 0.035)
# Enough work for a second thread to be used.
BUSY = Net((200, 240, 100, 8), ("relu", "tanh", "identity"), 0.3)
HEADER = Path(__file__).parents[2] / "kernels" / "cpu" / "network.h"
THREADING_WORK = int(re.findall(r"kThreadingWork = (\d+);", HEADER.read_text())[0])


@dataclass
class Gradients:
    weights: list[Tensor | None]
    biases: list[Tensor | None]
    x: Tensor | None


@dataclass
class Problem:
    """A network with weights, a batch and an output gradient, and the same in full matrices."""

    net: Net
    batch: int
    dtype: torch.dtype
    network: NativeNetwork = field(init=False)
    dense: DenseChain = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.batch)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(self.dtype)

        self.edges = self.net.edges()
        fan_in = [max(e.nnz / e.shape[0], 1.0) for e in self.edges]
        self.weights = [normal(e.nnz) * f**-0.5 for e, f in zip(self.edges, fan_in, strict=True)]
        biased = self.net.biased or (True,) * len(self.edges)
        self.biases = [normal(e.shape[0]) if b else None for e, b in zip(self.edges, biased, strict=True)]
        self.x = normal(self.batch, self.net.widths[0]) + 0.5  # sums over the batch that do not cancel
        self.grad = normal(self.batch, self.net.widths[-1]) + 0.5
        self.network = NativeNetwork(self.edges, self.net.activations, self.dtype)
        self.dense = DenseChain(
            [dense_matrix(e, w) for e, w in zip(self.edges, self.weights, strict=True)],
            [None if b is None else as_array(b) for b in self.biases],
            self.net.activations,
        )

    @property
    def multiply_adds(self) -> int:
        return sum(e.nnz for e in self.edges) * self.batch

    def forward(self) -> tuple[Tensor, Workspace]:
        workspace = self.network.workspace(self.batch)
        y = self.network.forward(self.x, self.batch, self.weights, self.biases, workspace)
        assert y is not None
        return y, workspace

    def inference(self) -> Tensor:
        y = self.network.forward(self.x, self.batch, self.weights, self.biases, None)
        assert y is not None
        return y

    def backward(
        self, workspace: Workspace, weights: Sequence[bool] | None = None, biases: Sequence[bool] | None = None,
        x: bool = True, grad_workspace: Workspace | None = None,
    ) -> Gradients:  # fmt: skip
        """The gradients wanted, in memory that holds NaN before."""
        layers = len(self.edges)
        wanted_weights = weights or [weights is None] * layers
        wanted_biases = biases or [biases is None] * layers
        found = Gradients(
            [
                torch.full_like(w, torch.nan) if want else None
                for w, want in zip(self.weights, wanted_weights, strict=True)
            ],
            [
                torch.full_like(b, torch.nan) if want and b is not None else None
                for b, want in zip(self.biases, wanted_biases, strict=True)
            ],
            torch.full_like(self.x, torch.nan) if x else None,
        )
        self.network.backward(
            self.batch, workspace, self.weights, self.grad, found.x, found.weights, found.biases, grad_workspace
        )
        return found

    def features(self, workspace: Workspace) -> list[Array]:
        """What the workspace holds at each boundary, sample by sample."""
        boundaries = range(len(self.edges) + 1)
        return [as_array(self.network.features(workspace, self.batch, i).t()) for i in boundaries]

    def check_gradients(self, found: Gradients, workspace: Workspace) -> None:
        values = self.dense.forward(as_array(self.x))
        weights, biases, x = self.dense.backward(values, as_array(self.grad), self.features(workspace))
        tolerance = TOLERANCE[self.dtype]
        for layer, edges in enumerate(self.edges):
            gradient, bias = found.weights[layer], found.biases[layer]
            if gradient is not None:
                assert relative_error(gradient, weights[layer][positions(edges)]) < tolerance
            if bias is not None:
                assert relative_error(bias, biases[layer]) < tolerance
        if found.x is not None:
            assert relative_error(found.x, x) < tolerance


def check_everything(problem: Problem) -> None:
    dtype = problem.dtype
    y, workspace = problem.forward()
    expected = problem.dense.forward(as_array(problem.x))
    assert relative_error(y, expected[-1]) < TOLERANCE[dtype]
    for found, wanted in zip(problem.features(workspace), expected, strict=True):
        assert relative_error(found, wanted) < TOLERANCE[dtype]
    problem.check_gradients(problem.backward(workspace), workspace)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_forward_and_every_gradient(isa: str, net: Net, dtype: torch.dtype, batch: int) -> None:
    check_everything(Problem(net, batch, dtype))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [257, 600])
@pytest.mark.parametrize("dtype", DTYPES)
def test_networks_large_enough_for_several_threads(isa: str, dtype: torch.dtype, batch: int, threads: int) -> None:
    torch.set_num_threads(threads)
    problem = Problem(BUSY, batch, dtype)
    assert problem.multiply_adds >= THREADING_WORK
    check_everything(problem)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_wide_enough_to_be_cut_into_blocks(isa: str, dtype: torch.dtype, threads: int) -> None:
    torch.set_num_threads(threads)
    problem = Problem(BLOCKED, 57, dtype)
    assert problem.multiply_adds >= THREADING_WORK
    check_everything(problem)
    workspace = problem.forward()[1]
    problem.check_gradients(problem.backward(workspace, weights=[False] * 2), workspace)
    expected = problem.dense.forward(as_array(problem.x))[-1]
    assert relative_error(problem.inference(), expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_forward_that_keeps_no_activations(isa: str, net: Net, dtype: torch.dtype, batch: int) -> None:
    problem = Problem(net, batch, dtype)
    expected = problem.dense.forward(as_array(problem.x))[-1]
    assert relative_error(problem.inference(), expected) < TOLERANCE[dtype]


WANTED = {
    "input only": ((0, 0, 0, 0), (0, 0, 0, 0), True),
    "weights only": ((1, 1, 1, 1), (0, 0, 0, 0), False),
    "biases only": ((0, 0, 0, 0), (1, 1, 1, 1), False),
    "parameters, not input": ((1, 1, 1, 1), (1, 1, 1, 1), False),
    "first weight": ((1, 0, 0, 0), (0, 0, 0, 0), False),
    "last weight": ((0, 0, 0, 1), (0, 0, 0, 0), False),
    "last bias": ((0, 0, 0, 0), (0, 0, 0, 1), False),
    "first bias": ((0, 1, 0, 0), (0, 1, 0, 0), False),
    "every other": ((1, 0, 1, 0), (0, 1, 0, 1), True),
    "a frozen middle": ((1, 0, 0, 1), (1, 0, 0, 1), True),
    "nothing": ((0, 0, 0, 0), (0, 0, 0, 0), False),
}


@pytest.mark.parametrize("with_workspace", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [0.5, 0.04])
@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED.keys())
def test_only_some_gradients_wanted(
    isa: str, wanted: tuple[tuple[int, ...], tuple[int, ...], bool], density: float, dtype: torch.dtype,
    with_workspace: bool,
) -> None:  # fmt: skip
    """Dense enough for the fused sweep, and too sparse for it."""
    net = Net((24, 40, 17, 33, 5), ("tanh", "relu", "identity", "tanh"), density)
    problem = Problem(net, 70, dtype)
    _, workspace = problem.forward()
    weights, biases, x = wanted
    space = problem.network.workspace(70) if with_workspace else None
    found = problem.backward(workspace, [bool(w) for w in weights], [bool(b) for b in biases], x, space)
    problem.check_gradients(found, workspace)


@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_workspace_holds_every_preactivation_gradient(isa: str, dtype: torch.dtype, batch: int) -> None:
    problem = Problem(Net((24, 40, 17), ("tanh", "identity"), 0.5), batch, dtype)
    _, workspace = problem.forward()
    space = problem.network.workspace(batch)
    problem.backward(workspace, grad_workspace=space)
    hidden, output = problem.dense.forward(as_array(problem.x))[1:]
    upper = DenseChain(problem.dense.weights[1:], problem.dense.biases[1:], ["identity"])
    through = upper.backward([hidden, output], as_array(problem.grad))[2] * (1 - hidden**2)
    expected = [through @ problem.dense.weights[0], through, as_array(problem.grad)]
    for found, wanted in zip(problem.features(space), expected, strict=True):
        assert relative_error(found, wanted) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_may_come_and_go_by_the_workspace(isa: str, dtype: torch.dtype) -> None:
    """Input already in the workspace, output left there; the same for the gradients."""
    problem = Problem(Net((24, 40, 17), ("tanh", "identity"), 0.5), 75, dtype)
    y, workspace = problem.forward()
    again = problem.network.workspace(75)
    again.tensor.copy_(workspace.tensor)
    assert problem.network.forward(None, 75, problem.weights, problem.biases, again, output=False) is None
    assert torch.equal(problem.network.features(again, 75, 2).t(), y)

    space = problem.network.workspace(75)
    expected = problem.backward(workspace, grad_workspace=space)
    second = problem.network.workspace(75)
    second.tensor.copy_(space.tensor)
    grads = [torch.full_like(w, torch.nan) for w in problem.weights]
    problem.network.backward(
        75, workspace, problem.weights, None, None, grads, [None, None], second, input_gradient=True
    )
    assert expected.x is not None
    assert torch.equal(problem.network.features(second, 75, 0).t(), expected.x)
    assert all(torch.equal(g, e) for g, e in zip(grads, expected.weights, strict=True) if e is not None)


def parts(problem: Problem) -> list[Tensor]:
    y, workspace = problem.forward()
    found = problem.backward(workspace)
    without_input = problem.backward(workspace, x=False)
    only_input = problem.backward(workspace, [False] * len(problem.edges), [False] * len(problem.edges))
    everything = [y, problem.inference(), found.x, only_input.x, *found.weights, *found.biases, *without_input.weights]
    return [t for t in everything if t is not None]


@pytest.mark.parametrize("batch", [257, 1500])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_twice_and_for_any_number_of_threads(isa: str, dtype: torch.dtype, batch: int) -> None:
    problem = Problem(BUSY, batch, dtype)
    assert problem.multiply_adds >= THREADING_WORK
    torch.set_num_threads(1)
    once = parts(problem)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for _ in range(3):
            assert all(torch.equal(a, b) for a, b in zip(once, parts(problem), strict=True))


@pytest.mark.parametrize("factor", [1.0, 1.5])
@pytest.mark.parametrize("threads", [2, 4, 16])
def test_threads_do_not_touch_each_others_sums(threads: int, factor: float) -> None:
    """Sums that end with a cache line, in rows that are no multiple of four connections; many tries, for luck."""
    edges = Edges.from_mask(torch.eye(16, dtype=torch.bool))
    network = NativeNetwork([edges, edges], ["identity", "identity"], torch.float32)
    batch = int(factor * THREADING_WORK / (2 * edges.nnz)) + 1
    x, grad = torch.randn(batch, 16), torch.randn(batch, 16)
    weights = [torch.randn(16), torch.randn(16)]
    workspace = network.workspace(batch)
    network.forward(x, batch, weights, [None, None], workspace)

    def weight_gradients() -> Tensor:
        grads = [torch.empty_like(w) for w in weights]
        network.backward(batch, workspace, weights, grad, None, grads, [None, None])
        return torch.cat(grads)

    torch.set_num_threads(1)
    expected = weight_gradients()
    torch.set_num_threads(threads)
    begin = time.monotonic()
    while time.monotonic() - begin < 0.5:
        assert torch.equal(weight_gradients(), expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("batch", "sample"), [(7, 0), (7, 6), (64, 40), (100, 99), (70, 65)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sample_that_is_not_finite_stays_alone(
    isa: str, dtype: torch.dtype, batch: int, sample: int, bad: float
) -> None:
    """Outputs and input gradients of the other samples keep every bit."""
    problem = Problem(Net((24, 40, 17), ("relu", "tanh"), 0.5), batch, dtype)

    def results() -> tuple[Tensor, Tensor, Tensor]:
        y, workspace = problem.forward()
        x_gradient = problem.backward(workspace).x
        assert x_gradient is not None
        return y, problem.inference(), x_gradient

    clean = results()
    problem.x[sample] = bad
    problem.grad[sample] = bad
    others = torch.arange(batch) != sample
    for found, expected in zip(results(), clean, strict=True):
        assert torch.equal(found[others], expected[others])


def assert_same_kind(found: Tensor, expected: Array) -> None:
    """NaN where NaN is due, infinities of the same sign, finite values close."""
    actual = as_array(found)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_array_equal(np.isposinf(actual), np.isposinf(expected))
    np.testing.assert_array_equal(np.isneginf(actual), np.isneginf(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("batch", "sample"), [(7, 0), (7, 6), (64, 63), (100, 99), (1, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite_arrive_where_a_dense_layer_has_them(
    isa: str, dtype: torch.dtype, batch: int, sample: int, bad: float
) -> None:
    """One bad input feature: its sample's outputs, its column's weight gradients, nothing else."""
    problem = Problem(Net((9, 6), ("identity",), 1.0), batch, dtype)
    problem.x[sample, 4] = bad
    y, workspace = problem.forward()
    found = problem.backward(workspace)
    with np.errstate(invalid="ignore"):
        values = problem.dense.forward(as_array(problem.x))
        weights, biases, x = problem.dense.backward(values, as_array(problem.grad))
    assert_same_kind(y, values[-1])
    assert_same_kind(problem.inference(), values[-1])
    assert found.weights[0] is not None
    assert found.biases[0] is not None
    assert found.x is not None
    assert_same_kind(found.weights[0], weights[0][positions(problem.edges[0])])
    assert_same_kind(found.biases[0], biases[0])
    assert_same_kind(found.x, x)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_of_special_values(isa: str, dtype: torch.dtype, batch: int, activation: str) -> None:
    special = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30, torch.inf, -torch.inf, torch.nan], dtype=dtype)
    edges = Edges.from_mask(torch.eye(9, dtype=torch.bool))
    network = NativeNetwork([edges], [activation], dtype)
    y = network.forward(special.repeat(batch, 1), batch, [torch.ones(9, dtype=dtype)], [None], None)
    assert y is not None
    expected = {"relu": torch.relu, "tanh": torch.tanh}[activation](special).repeat(batch, 1)
    torch.testing.assert_close(y, expected, equal_nan=True, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_accurate_over_its_whole_range(isa: str, dtype: torch.dtype) -> None:
    x = torch.cat([torch.logspace(-8, 1.5, 4000), torch.linspace(0.55, 0.7, 2000), torch.linspace(0, 12, 4000)])
    x = torch.cat([x, -x]).to(dtype).view(-1, 1)
    network = NativeNetwork([full_edges((1, 1))], ["tanh"], dtype)
    y = network.forward(x, len(x), [torch.ones(1, dtype=dtype)], [None], None)
    assert y is not None
    expected = np.tanh(as_array(x))
    error = np.abs(as_array(y) - expected) / np.maximum(np.abs(expected), 1e-300)
    assert error.max() < {torch.float32: 4e-7, torch.float64: 1e-15}[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_rows_and_columns(isa: str, dtype: torch.dtype) -> None:
    """An output without connections is its bias; an input without connections has no gradient."""
    mask = torch.rand(21, 18) < 0.4
    mask[[0, 7, 20]] = False
    mask[:, [0, 5, 17]] = False
    edges = Edges.from_mask(mask)
    network = NativeNetwork([edges], ["identity"], dtype)
    x, weight, bias = (
        torch.randn(10, 18, dtype=dtype),
        torch.randn(edges.nnz, dtype=dtype),
        torch.randn(21, dtype=dtype),
    )
    workspace = network.workspace(10)
    y = network.forward(x, 10, [weight], [bias], workspace)
    grad_x, grad_weight = torch.full_like(x, torch.nan), torch.full_like(weight, torch.nan)
    network.backward(10, workspace, [weight], torch.ones(10, 21, dtype=dtype), grad_x, [grad_weight], [None])
    assert y is not None
    assert torch.equal(y[:, [0, 7, 20]], bias[[0, 7, 20]].expand(10, 3))
    assert torch.equal(grad_x[:, [0, 5, 17]], torch.zeros(10, 3, dtype=dtype))
    assert relative_error(grad_x, np.ones((10, 21)) @ dense_matrix(edges, weight)) < TOLERANCE[dtype]
    assert relative_error(grad_weight, as_array(x).sum(0)[edges.col.numpy()]) < TOLERANCE[dtype]


@pytest.mark.parametrize("batch", [1, 5])
def test_layer_without_any_connection(isa: str, batch: int) -> None:
    edges = Edges.from_mask(torch.zeros(3, 4, dtype=torch.bool))
    network = NativeNetwork([edges], ["identity"], torch.float64)
    bias = torch.randn(3, dtype=torch.float64)
    empty = torch.empty(0, dtype=torch.float64)
    workspace = network.workspace(batch)
    y = network.forward(torch.randn(batch, 4, dtype=torch.float64), batch, [empty], [bias], workspace)
    grad_x = torch.full((batch, 4), torch.nan, dtype=torch.float64)
    grad_bias = torch.full((3,), torch.nan, dtype=torch.float64)
    network.backward(batch, workspace, [empty], torch.ones(batch, 3, dtype=torch.float64), grad_x, [None], [grad_bias])
    assert y is not None
    assert torch.equal(y, bias.expand(batch, 3))
    assert torch.equal(grad_x, torch.zeros_like(grad_x))
    assert torch.equal(grad_bias, torch.full_like(grad_bias, batch))


def test_as_many_layers_as_allowed_and_no_more() -> None:
    edges = full_edges((3, 3))
    network = NativeNetwork([edges] * MAX_LAYERS, ["tanh"] * MAX_LAYERS, torch.float64)
    weights = [torch.randn(9, dtype=torch.float64) for _ in range(MAX_LAYERS)]
    x = torch.randn(5, 3, dtype=torch.float64)
    y = network.forward(x, 5, weights, [None] * MAX_LAYERS, None)
    dense = DenseChain([as_array(w).reshape(3, 3) for w in weights], [None] * MAX_LAYERS, ["tanh"] * MAX_LAYERS)
    assert y is not None
    assert relative_error(y, dense.forward(as_array(x))[-1]) < 1e-10
    with pytest.raises(KernelError, match="bad argument"):
        NativeNetwork([edges] * (MAX_LAYERS + 1), ["tanh"] * (MAX_LAYERS + 1), torch.float64)


def test_layers_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(KernelError, match="bad argument"):
        NativeNetwork([full_edges((3, 4)), full_edges((2, 4))], ["relu", "relu"], torch.float32)


def test_empty_batch_is_refused_by_the_kernels() -> None:
    problem = Problem(NETS["single"], 2, torch.float32)
    with pytest.raises(KernelError, match="sparse forward: a bad argument"):
        problem.network.forward(problem.x[:0], 0, problem.weights, problem.biases, None)


def test_network_keeps_the_instruction_set_it_was_built_for() -> None:
    """A workspace laid out for one vector width is not read with another."""
    for name in supported_isas():
        select_isa(name)
        problem = Problem(NETS["policy"], 45, torch.float32)
        y, workspace = problem.forward()
        for other in supported_isas():
            select_isa(other)
            assert torch.equal(problem.forward()[0], y)
            problem.check_gradients(problem.backward(workspace), workspace)


def test_workspaces_in_use_are_not_lent_twice() -> None:
    problem = Problem(NETS["policy"], 33, torch.float64)
    first, second = problem.forward()[1], problem.forward()[1]
    assert first.tensor.data_ptr() != second.tensor.data_ptr()
    kept = first.tensor.clone()
    problem.x.mul_(2)
    problem.forward()
    assert torch.equal(first.tensor, kept)


def test_workspaces_given_back_are_lent_again_but_only_a_few_are_kept() -> None:
    problem = Problem(NETS["policy"], 33, torch.float64)
    pointer = problem.forward()[1].tensor.data_ptr()
    assert problem.network.workspace(33).tensor.data_ptr() == pointer
    many = [problem.network.workspace(batch) for batch in range(1, 20)]
    del many
    assert len(problem.network._idle) <= Workspace.KEPT


@pytest.mark.parametrize("threads", [1, 2])
def test_subnormal_numbers_still_count_outside_the_kernels(isa: str, threads: int) -> None:
    """The kernels flush them to zero and put the processor's mode back."""
    torch.set_num_threads(threads)
    problem = Problem(BUSY, 257, torch.float32)
    _, workspace = problem.forward()
    problem.backward(workspace)
    problem.inference()
    small = torch.full((1000,), 1e-30)
    assert bool((small * 1e-10 > 0).all())
    assert float(np.float32(1e-30) * np.float32(1e-10)) > 0
