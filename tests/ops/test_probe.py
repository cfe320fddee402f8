"""The dense gradient of a sparse layer, caught while it trains."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from helpers import dense_twin, sparse_layer, sparse_network
from torch import Tensor, nn

from sparse_agents import SparseLinear
from sparse_agents.nn import SparseSequential
from sparse_agents.ops import probe as probe_module

pytestmark = pytest.mark.usefixtures("backend")


def arm(*layers: SparseLinear) -> None:
    for layer in layers:
        layer.probe.arm(layer.weight)


def caught(layer: SparseLinear) -> Tensor:
    return torch.cat([tile for _, tile in layer.probe.tiles()])


def assert_caught(layer: SparseLinear, expected: Tensor | None) -> None:
    assert expected is not None
    torch.testing.assert_close(caught(layer), expected, rtol=1e-11, atol=1e-12)


def batch(size: int, features: int) -> Tensor:
    return torch.randn(size, features, dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 7, 64, 100])
@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "layer_norm_relu"])
def test_dense_gradient_at_every_position(activation: str, size: int) -> None:
    network = sparse_network([9, 13, 11, 3], [activation, activation, "identity"], 0.3)
    twin = dense_twin(network)
    layers = [m for m in network if isinstance(m, SparseLinear)]
    arm(*layers)
    x = batch(size, 9)
    network(x).square().sum().backward()
    twin(x).square().sum().backward()
    for layer, linear in zip(layers, (m for m in twin if isinstance(m, nn.Linear)), strict=True):
        assert caught(layer).shape == layer.topology.shape
        assert_caught(layer, linear.weight.grad)
        torch.testing.assert_close(caught(layer).view(-1)[layer.topology.edges.ids], layer.weight.grad)


def test_single_layer_and_inputs_of_three_dimensions() -> None:
    layer = sparse_layer(5, 6, 0.3)
    twin = dense_twin(layer)
    arm(layer)
    x = torch.randn(4, 7, 6, dtype=torch.float64)
    layer(x).square().sum().backward()
    twin(x).square().sum().backward()
    assert_caught(layer, twin.weight.grad)


def test_tiles_are_whole_rows_and_cover_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "TILE_ELEMENTS", 20)
    layer = sparse_layer(8, 6, 0.3)
    twin = dense_twin(layer)
    arm(layer)
    for _ in range(2):
        x = batch(5, 6)
        layer(x).square().sum().backward()
        twin(x).square().sum().backward()
    tiles = list(layer.probe.tiles())
    assert [first for first, _ in tiles] == [0, 3, 6]
    assert [tile.shape for _, tile in tiles] == [(3, 6), (3, 6), (2, 6)]
    assert_caught(layer, twin.weight.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arming_changes_no_bit(dtype: torch.dtype) -> None:
    network = sparse_network([24, 60, 40, 3], ["relu", "tanh", "identity"], 0.4, dtype=dtype)
    x = torch.randn(130, 24, dtype=dtype, requires_grad=True)

    def results() -> list[Tensor]:
        network.zero_grad()
        x.grad = None
        y = network(x)
        y.square().sum().backward()
        return [y.detach(), *(p.grad for p in network.parameters()), x.grad]  # type: ignore[list-item]

    before = results()
    arm(network[0], network[4])
    assert all(torch.equal(a, b) for a, b in zip(before, results(), strict=True))
    network[0].probe.disarm()
    network[4].probe.disarm()
    assert all(torch.equal(a, b) for a, b in zip(before, results(), strict=True))


@pytest.mark.parametrize("armed", [(0,), (1,), (2,), (0, 2)])
def test_only_armed_layers_catch(armed: tuple[int, ...]) -> None:
    network = sparse_network([5, 8, 6, 2], ["tanh", "relu", "identity"])
    layers = [m for m in network if isinstance(m, SparseLinear)]
    arm(*(layers[i] for i in armed))
    network(batch(4, 5)).sum().backward()
    assert [bool(layer.probe.pairs) for layer in layers] == [i in armed for i in range(3)]


def test_nothing_is_caught_without_a_backward() -> None:
    layer = sparse_layer(5, 6)
    arm(layer)
    layer(batch(3, 6))
    with torch.no_grad():
        layer(batch(3, 6))
    assert layer.probe.pairs == []


def test_backwards_between_two_zero_grads_add_up() -> None:
    layer = sparse_layer(5, 6, 0.3)
    twin = dense_twin(layer)
    arm(layer)
    for size in (4, 9, 1):
        x = batch(size, 6)
        layer(x).square().sum().backward()
        twin(x).square().sum().backward()
    assert_caught(layer, twin.weight.grad)


def test_backwards_add_up_even_if_the_first_reaches_no_connection() -> None:
    """Its gradient is zero where there are connections, and not elsewhere."""
    layer = sparse_layer(2, 3, 0.0)  # a single connection
    twin = dense_twin(layer)
    arm(layer)
    first = batch(4, 3)
    first[:, int(layer.topology.col[0])] = 0
    for x in (first, batch(4, 3)):
        layer(x).sum().backward()
        twin(x).sum().backward()
    assert_caught(layer, twin.weight.grad)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_starts_anew(set_to_none: bool) -> None:
    layer = sparse_layer(5, 6, 0.3)
    twin = dense_twin(layer)
    arm(layer)
    layer(batch(4, 6)).square().sum().backward()
    layer.zero_grad(set_to_none=set_to_none)
    x = batch(4, 6)
    layer(x).square().sum().backward()
    twin(x).square().sum().backward()
    assert len(layer.probe.pairs) == 1
    assert_caught(layer, twin.weight.grad)


def losses(critic: nn.Module, actor: nn.Module, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    critic_loss = (critic(torch.cat([observation, action], 1)) - 1).square().mean()
    actor_loss = -critic(torch.cat([observation, actor(observation)], 1)).mean()
    return critic_loss, actor_loss


@pytest.mark.parametrize("set_to_none", [True, False])
def test_another_loss_between_steps_leaves_no_trace(set_to_none: bool) -> None:
    """TD3: the actor's loss goes through the critic, whose gradient it fills and nobody uses."""
    critic, actor = sparse_network([7, 16, 1], ["relu", "identity"], 0.3), sparse_network([5, 8, 2], ["relu", "tanh"])
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)
    arm(critic[0], critic[2])
    for _ in range(3):
        observation, action = batch(12, 5), batch(12, 2)
        twin = dense_twin(critic)
        critic_loss, _ = losses(critic, actor, observation, action)
        optimizer.zero_grad(set_to_none=set_to_none)
        critic_loss.backward()
        losses(twin, actor, observation, action)[0].backward()
        assert_caught(critic[0], twin[0].weight.grad)
        assert_caught(critic[2], twin[2].weight.grad)
        optimizer.step()
        _, actor_loss = losses(critic, actor, observation, action)
        actor_optimizer.zero_grad()
        actor_loss.backward()
        actor_optimizer.step()


def interlude_frozen(layer: SparseLinear, x: Tensor) -> None:
    layer.requires_grad_(False)
    layer(x).sum().backward()
    layer.requires_grad_(True)


def interlude_grad(layer: SparseLinear, x: Tensor) -> None:
    torch.autograd.grad(layer(x).sum(), x)


@pytest.mark.parametrize("interlude", [interlude_frozen, interlude_grad])
@pytest.mark.parametrize("place", ["first", "between", "after step"])
def test_a_backward_that_adds_nothing_to_the_gradient_is_not_caught(
    interlude: Callable[[SparseLinear, Tensor], None], place: str
) -> None:
    """Weights frozen for the moment, or gradients of something else asked for."""
    layer = sparse_layer(5, 6, 0.3)
    twin = dense_twin(layer)
    arm(layer)
    other, x, again = batch(4, 6).requires_grad_(), batch(4, 6), batch(4, 6)
    if place == "after step":
        layer(batch(3, 6)).sum().backward()
    if place != "between":
        interlude(layer, other)
    layer.zero_grad()
    layer(x).square().sum().backward()
    if place == "between":
        interlude(layer, other)
    layer(again).square().sum().backward()
    (twin(x).square().sum() + twin(again).square().sum()).backward()
    assert_caught(layer, twin.weight.grad)


def test_frozen_layer_below_catches_nothing() -> None:
    """No gradient is worked out for it, so there is none to catch."""
    network = sparse_network([5, 8, 2], ["tanh", "identity"])
    arm(network[0], network[2])
    network[0].requires_grad_(False)
    network(batch(4, 5)).sum().backward()
    assert network[0].probe.pairs == []
    assert len(network[2].probe.pairs) == 1


def test_layer_used_twice_in_one_forward() -> None:
    layer = sparse_layer(6, 6, 0.3)
    twin = dense_twin(layer)
    arm(layer)
    for _ in range(2):
        layer.zero_grad()
        twin.zero_grad()
        x = batch(5, 6)
        layer(torch.tanh(layer(x))).square().sum().backward()
        twin(torch.tanh(twin(x))).square().sum().backward()
        assert_caught(layer, twin.weight.grad)


def test_layer_twice_in_one_chain() -> None:
    layer = sparse_layer(6, 6, 0.3)
    network = SparseSequential(layer, nn.Tanh(), layer)
    twin = dense_twin(layer)
    arm(layer)
    x = batch(5, 6)
    network(x).square().sum().backward()
    twin(torch.tanh(twin(x))).square().sum().backward()
    assert_caught(layer, twin.weight.grad)


def test_layer_by_layer_while_hooks_are_present() -> None:
    network = sparse_network([5, 8, 2], ["relu", "identity"], 0.3)
    twin = dense_twin(network)
    arm(network[0], network[2])
    network[1].register_forward_hook(lambda *_: None)
    x = batch(9, 5)
    network(x).square().sum().backward()
    twin(x).square().sum().backward()
    assert_caught(network[0], twin[0].weight.grad)
    assert_caught(network[2], twin[2].weight.grad)


def test_disarmed_probe_forgets_and_stops() -> None:
    layer = sparse_layer(5, 6)
    arm(layer)
    layer(batch(3, 6)).sum().backward()
    layer.probe.disarm()
    assert layer.probe.pairs == []
    layer(batch(3, 6)).sum().backward()
    assert layer.probe.pairs == []
    assert not layer.weight._post_accumulate_grad_hooks


def test_pairs_outlive_the_buffers_of_later_forwards() -> None:
    """The kernels' memory is lent again; what was caught is not in it."""
    network = sparse_network([5, 8, 2], ["tanh", "identity"])
    arm(network[0])
    network(batch(9, 5)).sum().backward()
    before = caught(network[0])
    for _ in range(6):
        network(batch(9, 5)).square().sum()
    assert torch.equal(caught(network[0]), before)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_not_armed(how: Callable[[SparseLinear], SparseLinear]) -> None:
    layer = sparse_layer(5, 6)
    arm(layer)
    layer(batch(3, 6)).sum().backward()
    twin = how(layer)
    assert not twin.probe.armed
    twin.zero_grad()
    twin(batch(3, 6)).sum().backward()
    assert twin.probe.pairs == []
    assert layer.probe.armed
    assert len(layer.probe.pairs) == 1
