"""The compiled kernels against full matrices in float64."""

from __future__ import annotations

import time

import pytest
import torch
from helpers import TOLERANCE, DenseChain, as_array, relative_error
from kernel_problems import BATCHES, BLOCKED, BUSY, DTYPES, NETS, THREADING_WORK, Net, Problem, check_everything
from torch import Tensor

from sparse_agents.ops import NativeNetwork
from sparse_agents.topology import Edges


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_forward_and_every_gradient(isa: str, net: Net, dtype: torch.dtype, batch: int) -> None:
    check_everything(Problem(net, batch, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_of_every_width(isa: str, dtype: torch.dtype) -> None:
    """From one vector to a full tile and a bit, each with padding."""
    network = Problem(NETS["policy"], 1, dtype).network
    full = network.library.sa_tile_width(network.handle, 1)
    lanes = network.workspace_size(1) // sum(NETS["policy"].widths)
    assert full == 8 * lanes
    for batch in range(lanes - 1, full + lanes, lanes):
        check_everything(Problem(NETS["policy"], batch, dtype))


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
