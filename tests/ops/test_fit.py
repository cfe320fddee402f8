"""Forward, squared error and backward in one sweep, against full matrices in float64 and against the three apart."""

from __future__ import annotations

import pytest
import torch
from helpers import TOLERANCE, as_array, positions, relative_error
from kernel_problems import BATCHES, DTYPES, THREADING_WORK, Net, Problem
from torch import Tensor

from sparse_agents.ops import program
from sparse_agents.ops.library import KernelError

CRITIC = Net((23, 40, 32, 1), ("relu", "tanh", "identity"), 0.3, (True, False, True))
NORMALISED = Net((23, 40, 32, 1), ("layer_norm_relu", "layer_norm_tanh", "identity"), 0.3, (True, False, True))
SQUASHED = Net((9, 12, 1), ("relu", "tanh"), 0.6)
BUSY_CRITIC = Net((200, 240, 200, 1), ("relu", "relu", "identity"), 0.4)
SCALE = 0.5


class Fitted:
    """A problem, and what one operation says of it."""

    def __init__(self, net: Net, batch: int, dtype: torch.dtype) -> None:
        self.problem = problem = Problem(net, batch, dtype)
        self.target = problem.x.sum(1).sin()
        self.weights = [torch.full_like(w, torch.nan) for w in problem.weights]
        self.biases = [None if b is None else torch.full_like(b, torch.nan) for b in problem.biases]
        self.loss = torch.tensor([3.0], dtype=torch.float64)

    def run(self) -> None:
        problem = self.problem
        operation = program.Fit.of(
            network=problem.network.handle, batch=problem.batch, scale=SCALE, x=problem.x, weight=problem.weights,
            bias=problem.biases, target=self.target, grad_weight=self.weights, grad_bias=self.biases, loss=self.loss,
        )  # fmt: skip
        program.Program([operation], problem.dtype).run()


def apart(fitted: Fitted) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """The gradients by one pass after the other."""
    problem = fitted.problem
    y, workspace = problem.forward()
    problem.grad = 2 * SCALE / problem.batch * (y - fitted.target.unsqueeze(1))
    found = problem.backward(workspace, x=False)
    return found.weights, found.biases


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("net", [CRITIC, NORMALISED, SQUASHED], ids=["critic", "normalised", "tanh output"])
def test_equals_full_matrices_and_the_passes_apart(isa: str, net: Net, dtype: torch.dtype, batch: int) -> None:
    fitted = Fitted(net, batch, dtype)
    fitted.run()
    problem = fitted.problem
    values = problem.dense.forward(as_array(problem.x))
    error = values[-1] - as_array(fitted.target)[:, None]
    weights, biases, _ = problem.dense.backward(values, 2 * SCALE / batch * error)
    for edges, dense, found in zip(problem.edges, weights, fitted.weights, strict=True):
        assert relative_error(found, dense[positions(edges)]) < TOLERANCE[dtype]
    for dense, bias in zip(biases, fitted.biases, strict=True):
        assert bias is None or relative_error(bias, dense) < TOLERANCE[dtype]
    assert float(fitted.loss) - 3 == pytest.approx(SCALE * float((error**2).mean()), rel=1e-4)
    for one, other in zip(
        (*fitted.weights, *fitted.biases), (x for found in apart(fitted) for x in found), strict=True
    ):
        assert (one is None and other is None) or torch.allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_while_there_is_a_tile_for_every_thread(isa: str, dtype: torch.dtype) -> None:
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        fitted = Fitted(BUSY_CRITIC, 1100, dtype)  # more tiles than groups
        assert fitted.problem.multiply_adds >= THREADING_WORK
        fitted.run()
        found.append([*fitted.weights, *fitted.biases, fitted.loss])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_are_narrower_where_there_are_threads_for_more(isa: str, dtype: torch.dtype) -> None:
    """Which changes the order of sums, and nothing from one time to the next."""
    found = []
    for threads in (1, 16, 16):
        torch.set_num_threads(threads)
        fitted = Fitted(BUSY_CRITIC, 150, dtype)
        assert fitted.problem.multiply_adds >= THREADING_WORK
        fitted.run()
        found.append([*fitted.weights, *fitted.biases, fitted.loss])
    assert all(torch.equal(one, other) for one, other in zip(*found[1:], strict=True))
    assert all(relative_error(many, as_array(one)) < TOLERANCE[dtype] for one, many in zip(*found[:2], strict=True))


def test_a_network_of_several_outputs_is_refused() -> None:
    with pytest.raises(KernelError, match="a bad argument"):
        Fitted(Net((5, 4, 2), ("relu", "identity")), 8, torch.float32).run()
