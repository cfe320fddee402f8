"""Small networks side by side, and fits and ascents in one launch, emulated, against autograd in float64."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
import torch
from emulation import EmulatedLauncher
from torch import Tensor

from sparse_agents.ops.cuda import Chains, Flow, Processor, SmallNetwork
from sparse_agents.topology import Edges

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "layer_norm_relu": lambda x: torch.relu(torch.layer_norm(x, x.shape[1:])),
}
SUMS = 4096  # bytes for them
OBSERVATION, ACTION = 7, 3
PROCESSORS = {
    "all in shared memory": Processor(2, 1 << 16),
    "connections alone": Processor(2, SUMS + 2 * 30 * 32 + 12 * 260),
    "two boundaries alone": Processor(1, SUMS + 2 * 30 * 32),
}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


class Net(NamedTuple):
    """A network on the emulated device, and its parameters."""

    network: SmallNetwork
    edges: list[Edges]
    activations: list[str]
    weights: list[Tensor]
    biases: list[Tensor | None]

    def exact(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Parameters to differentiate by."""
        weights = [w.double().requires_grad_() for w in self.weights]
        return weights, [None if b is None else b.double().requires_grad_() for b in self.biases]

    def dense(self, weights: list[Tensor], biases: list[Tensor | None], x: Tensor) -> Tensor:
        for e, w, b, activation in zip(self.edges, weights, biases, self.activations, strict=True):
            matrix = torch.zeros(e.shape, dtype=torch.float64)
            rows = torch.repeat_interleave(torch.arange(e.shape[0]), e.row_ptr.diff())
            x = x @ matrix.index_put((rows, e.col.long()), w).t()
            x = ACTIVATIONS[activation](x if b is None else x + b)
        return x

    def flow(self, **of: Tensor) -> tuple[Flow, list[Tensor]]:
        """With room for gradients of all parameters."""
        weights = [torch.full_like(w, torch.nan) for w in self.weights]
        biases = [None if b is None else torch.full_like(b, torch.nan) for b in self.biases]
        flow = Flow(self.network, self.weights, self.biases, grad_weights=weights, grad_biases=biases, **of)
        return flow, [one for one in (*weights, *biases) if one is not None]


def net(widths: list[int], last: str, seed: int, launcher: EmulatedLauncher) -> Net:
    generator = torch.Generator().manual_seed(seed)
    edges = [
        Edges.from_mask(torch.rand(rows, cols, generator=generator) < 0.4) for cols, rows in itertools.pairwise(widths)
    ]
    activations = [*["layer_norm_relu" if seed % 2 == 0 else "relu", "tanh"][: len(edges) - 1], last]
    weights = [torch.randn(e.nnz, generator=generator) / 2 for e in edges]
    biases = [None if i == 1 else torch.randn(e.shape[0], generator=generator) for i, e in enumerate(edges)]
    return Net(SmallNetwork(edges, activations, launcher), edges, activations, weights, biases)


def check(found: list[Tensor], exact: tuple[list[Tensor], list[Tensor | None]]) -> None:
    parameters = [one for one in (*exact[0], *exact[1]) if one is not None]
    for gradient, of in zip(found, parameters, strict=True):
        torch.testing.assert_close(gradient.double(), of.grad, **CLOSE)


@pytest.fixture(params=PROCESSORS)
def launcher(request: pytest.FixtureRequest) -> EmulatedLauncher:
    return EmulatedLauncher(PROCESSORS[request.param], seed=4)


@pytest.fixture
def critics(launcher: EmulatedLauncher) -> list[Net]:
    """Of other sizes, more than one launch takes."""
    return [net([OBSERVATION + ACTION, hidden, 9, 1], "identity", hidden, launcher) for hidden in (30, 12, 17)]


@pytest.mark.parametrize("batch", [1, 13, 50])
def test_critics_are_fitted_side_by_side(batch: int, critics: list[Net], launcher: EmulatedLauncher) -> None:
    generator = torch.Generator().manual_seed(0)
    x, target = (torch.randn(batch, width, generator=generator) for width in (OBSERVATION + ACTION, 1))
    loss, expected = torch.tensor([0.25], dtype=torch.float64), torch.tensor(0.25, dtype=torch.float64)
    flows = [critic.flow(x=x) for critic in critics]
    Chains([flow for flow, _ in flows], batch).fit(target.view(-1), 0.5, loss)
    assert [(kernel.name, grid[1]) for kernel, grid in launcher.launches] == [
        ("chain_fit", 2),
        ("chain_sum", 2),
        ("chain_fit", 1),
        ("chain_sum", 1),
    ]
    for critic, (_, found) in zip(critics, flows, strict=True):
        exact = critic.exact()
        error = 0.5 * (critic.dense(*exact, x.double()) - target).square().mean()
        error.backward()
        expected += error.detach()
        check(found, exact)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("batch", [1, 13, 50])
def test_an_actor_ascends_what_its_critic_says(batch: int, critics: list[Net], launcher: EmulatedLauncher) -> None:
    critic, actor = critics[0], net([OBSERVATION, 21, ACTION], "tanh", 5, launcher)
    x = torch.randn(batch, OBSERVATION, generator=torch.Generator().manual_seed(1))
    flow, found = actor.flow(x=x)
    loss = torch.tensor([1.0], dtype=torch.float64)
    Chains([flow, Flow(critic.network, critic.weights, critic.biases)], batch).ascend(-1.0, loss)
    assert [kernel.name for kernel, _ in launcher.launches] == ["chain_ascend", "chain_sum"]
    exact, judging = actor.exact(), critic.exact()
    action = actor.dense(*exact, x.double())
    value = -critic.dense(*judging, torch.cat([x.double(), action], dim=1)).mean()
    value.backward()
    check(found, exact)
    assert loss.item() == pytest.approx(1.0 + value.item(), rel=1e-5)


def test_passes_side_by_side(critics: list[Net]) -> None:
    """Forward, then backward to the input alone."""
    x = torch.randn(20, OBSERVATION + ACTION, generator=torch.Generator().manual_seed(2))
    memory = [critic.network.workspace(20).tensor for critic in critics]
    ys, grads_x = [torch.full((20, 1), torch.nan) for _ in critics], [torch.full_like(x, torch.nan) for _ in critics]
    given = list(zip(critics, memory, ys, grads_x, strict=True))
    Chains([Flow(c.network, c.weights, c.biases, x, y, workspace=m) for c, m, y, _ in given], 20).forward()
    grad = torch.randn(20, 1, generator=torch.Generator().manual_seed(3))
    Chains([Flow(c.network, c.weights, grad_y=grad, grad_x=g, workspace=m) for c, m, _, g in given], 20).backward()
    for critic, _, y, found in given:
        exact_x = x.double().requires_grad_()
        expected = critic.dense(*critic.exact(), exact_x)
        expected.backward(grad.double())
        torch.testing.assert_close(y.double(), expected.detach(), **CLOSE)
        torch.testing.assert_close(found.double(), exact_x.grad, **CLOSE)


def test_the_same_bits_every_time(critics: list[Net], launcher: EmulatedLauncher) -> None:
    """In whatever order threads run."""
    x, target = torch.randn(50, OBSERVATION + ACTION), torch.randn(50)
    results = []
    for seed in range(3):
        launcher.seed = 1000 * seed
        flow, found = critics[0].flow(x=x)
        loss = torch.zeros(1, dtype=torch.float64)
        Chains([flow], 50).fit(target, 1.0, loss)
        results.append([*found, loss])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
