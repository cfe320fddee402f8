"""Special values, shapes and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import TOLERANCE, Array, DenseChain, as_array, dense_matrix, positions, relative_error
from kernel_problems import BUSY, DTYPES, NETS, Net, Problem
from torch import Tensor

from sparse_agents.ops import MAX_LAYERS, NativeNetwork, select_isa, supported_isas
from sparse_agents.ops.library import KernelError
from sparse_agents.ops.native import Workspace
from sparse_agents.topology import Edges, full_edges


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
