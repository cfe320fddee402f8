"""A deterministic policy gradient in one sweep, against full matrices in float64 and against the passes apart."""

from __future__ import annotations

import pytest
import torch
from helpers import TOLERANCE, as_array, positions, relative_error
from kernel_problems import BATCHES, DTYPES, THREADING_WORK, Net, Problem
from torch import Tensor

from sparse_agents.ops import program
from sparse_agents.ops.library import KernelError

OBSERVED, ACTIONS = 11, 3
ACTOR = Net((OBSERVED, 48, 32, ACTIONS), ("relu", "tanh", "tanh"), 0.3, (True, False, True))
CRITIC = Net((OBSERVED + ACTIONS, 40, 24, 1), ("tanh", "relu", "identity"), 0.4, (True, True, False))
NORMALISED = Net((OBSERVED + ACTIONS, 40, 24, 1), ("layer_norm_relu", "layer_norm_relu", "identity"), 0.4)
SQUASHED = Net((OBSERVED + ACTIONS, 20, 1), ("relu", "tanh"), 0.5)
SINGLE = Net((OBSERVED + ACTIONS, 1), ("identity",), 0.8)
SCALE = -0.7


class Ascended:
    """An actor, a critic, and what one operation says of them."""

    def __init__(self, actor: Net, critic: Net, batch: int, dtype: torch.dtype) -> None:
        self.actor, self.critic = Problem(actor, batch, dtype), Problem(critic, batch, dtype)
        self.weights = [torch.full_like(w, torch.nan) for w in self.actor.weights]
        self.biases = [None if b is None else torch.full_like(b, torch.nan) for b in self.actor.biases]
        self.mean = torch.tensor([3.0], dtype=torch.float64)

    def run(self) -> None:
        actor, critic = self.actor, self.critic
        operation = program.Ascend.of(
            network=actor.network.handle, critic=critic.network.handle, batch=actor.batch, scale=SCALE, x=actor.x,
            weight=actor.weights, bias=actor.biases, critic_weight=critic.weights, critic_bias=critic.biases,
            grad_weight=self.weights, grad_bias=self.biases, mean=self.mean,
        )  # fmt: skip
        program.Program([operation], actor.dtype).run()

    @property
    def found(self) -> list[Tensor | None]:
        return [*self.weights, *self.biases, self.mean]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "critic", [CRITIC, NORMALISED, SQUASHED, SINGLE], ids=["critic", "normalised", "tanh output", "one layer"]
)
def test_equals_full_matrices(isa: str, critic: Net, dtype: torch.dtype, batch: int) -> None:
    ascended = Ascended(ACTOR, critic, batch, dtype)
    ascended.run()
    actor, judge = ascended.actor, ascended.critic
    observations = actor.x.double()
    values = actor.dense.forward(as_array(observations))
    transitions = torch.cat([observations, torch.as_tensor(values[-1])], 1)
    judged = judge.dense.forward(as_array(transitions))
    _, _, by_transition = judge.dense.backward(judged, as_array(torch.full_like(observations[:, :1], SCALE / batch)))
    weights, biases, _ = actor.dense.backward(values, by_transition[:, OBSERVED:])
    assert float(ascended.mean) - 3 == pytest.approx(SCALE * float(judged[-1].mean()), rel=1e-4, abs=1e-6)
    for edges, dense, found in zip(actor.edges, weights, ascended.weights, strict=True):
        assert relative_error(found, dense[positions(edges)]) < 3 * TOLERANCE[dtype]  # through two networks
    for dense, bias in zip(biases, ascended.biases, strict=True):
        assert bias is None or relative_error(bias, dense) < 3 * TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_passes_apart(isa: str, dtype: torch.dtype) -> None:
    ascended = Ascended(ACTOR, CRITIC, 100, dtype)
    ascended.run()
    actor, critic = ascended.actor, ascended.critic
    action, workspace = actor.forward()
    critic.x = torch.cat([actor.x, action], 1)
    _, judged = critic.forward()
    critic.grad = torch.full((100, 1), SCALE / 100, dtype=dtype)
    by_transition = critic.backward(judged, weights=[False] * 3, biases=[False] * 3).x
    assert by_transition is not None
    actor.grad = by_transition[:, OBSERVED:].contiguous()
    found = actor.backward(workspace, x=False)
    for one, other in zip([*ascended.weights, *ascended.biases], [*found.weights, *found.biases], strict=True):
        assert (one is None and other is None) or torch.allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_while_there_is_a_tile_for_every_thread(isa: str, dtype: torch.dtype) -> None:
    actor, critic = (Net((n, 240, 200, m), ("relu", "relu", "tanh"), 0.4) for n, m in ((200, 8), (208, 1)))
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        ascended = Ascended(actor, critic, 1100, dtype)  # more tiles than groups
        assert ascended.actor.multiply_adds >= THREADING_WORK
        ascended.run()
        found.append(ascended.found)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize(
    "critic",
    [Net((OBSERVED + ACTIONS, 2), ("identity",)), Net((OBSERVED + ACTIONS + 1, 1), ("identity",))],
    ids=["two outputs", "another input"],
)
def test_a_critic_that_does_not_fit_is_refused(critic: Net) -> None:
    with pytest.raises(KernelError, match="a bad argument"):
        Ascended(ACTOR, critic, 8, torch.float32).run()


def test_a_critic_of_another_type_is_refused() -> None:
    ascended = Ascended(ACTOR, CRITIC, 8, torch.float32)
    ascended.critic = Problem(CRITIC, 8, torch.float64)
    with pytest.raises(KernelError, match="a bad argument"):
        ascended.run()
