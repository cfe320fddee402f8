"""Derivatives as autograd sees them: which, how often, and of what."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from helpers import dense_twin, positions, sparse_layer, sparse_network
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from sparse_agents import Edges, SparseLinear, Topology
from sparse_agents.nn import SparseSequential
from sparse_agents.topology import full_edges

pytestmark = pytest.mark.usefixtures("backend")


def away_from_zero(module: nn.Module, features: int, batch: int = 2) -> Tensor:
    """An input for which no preactivation is near a ReLU's kink."""
    for seed in range(200):
        x = torch.randn(batch, features, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        h, nearest = x, 1.0
        for part in module if isinstance(module, nn.Sequential) else [module]:
            if isinstance(part, nn.ReLU):
                nearest = min(nearest, float(h.detach().abs().min()))
            h = part(h)
        if nearest > 1e-3:
            return x.requires_grad_()
    raise AssertionError("no such input")


def as_function(module: nn.Module) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """The module as a function of its input and all its parameters."""
    names = [name for name, _ in module.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    return lambda x, *p: functional_call(module, dict(zip(names, p, strict=True)), (x,)), values


MODULES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "linear": lambda: (sparse_layer(4, 5, 0.5), 5),
    "linear without bias": lambda: (sparse_layer(4, 5, 0.5, bias=False), 5),
    "one to one": lambda: (sparse_layer(1, 1, 1.0), 1),
    "one output": lambda: (sparse_layer(1, 7, 0.5), 7),
    "one input": lambda: (sparse_layer(6, 1, 0.5), 1),
    "full": lambda: (sparse_layer(3, 4, 1.0), 4),
    "tanh": lambda: (sparse_network([5, 7, 4, 2], ["tanh", "tanh", "identity"]), 5),
    "relu": lambda: (sparse_network([5, 7, 4, 2], ["relu", "relu", "identity"]), 5),
    "normalised": lambda: (sparse_network([5, 7, 6, 2], ["layer_norm_relu", "layer_norm_tanh", "identity"]), 5),
    "mixed": lambda: (sparse_network([5, 7, 4, 3], ["relu", "identity", "tanh"], bias=False), 5),
    "with a dense layer": lambda: (
        SparseSequential(sparse_layer(6, 5), nn.Tanh(), nn.Linear(6, 3, dtype=torch.float64), nn.Tanh()),
        5,
    ),
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_gradcheck_of_input_and_parameters(make: Callable[[], tuple[nn.Module, int]]) -> None:
    module, features = make()
    x = away_from_zero(module, features)
    function, values = as_function(module)
    assert gradcheck(function, (x, *values))


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_gradgradcheck_of_input_and_parameters(make: Callable[[], tuple[nn.Module, int]]) -> None:
    module, features = make()
    x = away_from_zero(module, features)
    function, values = as_function(module)
    assert gradgradcheck(function, (x, *values), fast_mode=isinstance(module, nn.Sequential))


def test_gradcheck_with_respect_to_the_input_alone() -> None:
    module = sparse_network([5, 7, 2], ["tanh", "identity"]).requires_grad_(False)
    x = away_from_zero(module, 5)
    assert gradcheck(module, (x,))
    assert gradgradcheck(module, (x,))


@pytest.mark.parametrize("frozen", [["0.weight"], ["0.bias"], ["2.weight", "2.bias"], ["0.weight", "0.bias"]])
def test_frozen_parameters_get_no_gradient_and_change_no_other(frozen: list[str]) -> None:
    module = sparse_network([5, 7, 3], ["tanh", "identity"])
    x = torch.randn(9, 5, dtype=torch.float64)
    module(x).square().sum().backward()
    expected = {name: p.grad for name, p in module.named_parameters()}
    module.zero_grad()
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
    module(x).square().sum().backward()
    for name, parameter in module.named_parameters():
        if name in frozen:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-12, atol=1e-14)


def test_everything_frozen_needs_no_graph() -> None:
    module = sparse_network([5, 7, 3], ["tanh", "identity"]).requires_grad_(False)
    assert not module(torch.randn(2, 5, dtype=torch.float64)).requires_grad


@pytest.mark.parametrize("freeze", [True, False])
def test_actor_is_trained_through_a_critic(freeze: bool) -> None:
    """Only the gradient with respect to the critic's input matters, whether its parameters are frozen or not."""
    actor, critic = sparse_network([5, 8, 2], ["relu", "tanh"]), sparse_network([7, 9, 1], ["relu", "identity"], seed=9)
    critic.requires_grad_(not freeze)
    observation = torch.randn(20, 5, dtype=torch.float64)
    dense_actor, dense_critic = dense_twin(actor), dense_twin(critic)

    def loss(policy: nn.Module, value: nn.Module) -> Tensor:
        return -value(torch.cat([observation, policy(observation)], 1)).mean()

    parameters = list(actor.parameters())
    gradients = torch.autograd.grad(loss(actor, critic), parameters)
    loss(dense_actor, dense_critic).backward()
    for name, gradient in zip([n for n, _ in actor.named_parameters()], gradients, strict=True):
        expected = dense_actor.get_parameter(name).grad
        assert expected is not None
        if name.endswith("weight"):
            expected = expected[positions(actor.get_submodule(name.rpartition(".")[0]).topology.edges)]
        torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-13)
    assert all(p.grad is None for p in critic.parameters())


def test_float32_gradients_against_dense_float64() -> None:
    """Through autograd, with smooth activations so that no kink separates the two."""
    module = sparse_network([17, 64, 32, 3], ["tanh", "tanh", "identity"], 0.3, dtype=torch.float32)
    twin = dense_twin(module)
    x = torch.randn(100, 17)
    module(x).square().mean().backward()
    twin(x.double()).square().mean().backward()
    for index in (0, 2, 4):
        sparse, dense = module[index], twin[index]
        expected = dense.weight.grad[positions(sparse.topology.edges)]
        assert (sparse.weight.grad - expected).norm() < 1e-5 * expected.norm()
        assert (sparse.bias.grad - dense.bias.grad).norm() < 1e-5 * dense.bias.grad.norm()


def test_empty_batch_has_an_empty_output_and_zero_gradients() -> None:
    module = sparse_network([5, 7, 3], ["relu", "tanh"])
    x = torch.zeros(0, 5, dtype=torch.float64, requires_grad=True)
    y = module(x)
    assert y.shape == (0, 3)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == (0, 5)
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())
    with torch.no_grad():
        assert module(x).shape == (0, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (6, 7)])
def test_single_connection(shape: tuple[int, int]) -> None:
    rows, cols = shape
    edges = Edges.from_ids(torch.tensor([rows * cols - 1]), shape)
    layer = SparseLinear(cols, rows, topology=Topology(edges), dtype=torch.float64)
    x = torch.randn(4, cols, dtype=torch.float64)
    y = layer(x)
    expected = layer.bias.detach().repeat(4, 1)
    expected[:, -1] += x[:, -1] * layer.weight.detach()
    torch.testing.assert_close(y, expected)
    y[:, -1].sum().backward()
    torch.testing.assert_close(layer.weight.grad, x[:, -1].sum().view(1))


def test_retained_graph_gives_the_same_gradient_again() -> None:
    module = sparse_network([5, 7, 3], ["relu", "tanh"])
    y = module(torch.randn(6, 5, dtype=torch.float64)).sum()
    first = torch.autograd.grad(y, list(module.parameters()), retain_graph=True)
    second = torch.autograd.grad(y, list(module.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_several_forwards_may_wait_for_their_backward(order: Sequence[int]) -> None:
    """In any order, with other batch sizes in between."""
    module = sparse_network([5, 7, 3], ["tanh", "identity"])
    twin = dense_twin(module)
    inputs = [torch.randn(batch, 5, dtype=torch.float64) for batch in (33, 5, 33)]
    outputs = [module(x).square().sum() for x in inputs]
    for i in order:
        module.zero_grad()
        twin.zero_grad()
        outputs[i].backward()
        twin(inputs[i]).square().sum().backward()
        with torch.no_grad():
            module(inputs[1])
        expected = twin[0].weight.grad[positions(module[0].topology.edges)]
        torch.testing.assert_close(module[0].weight.grad, expected)


def test_weights_changed_in_place_before_the_backward_are_noticed() -> None:
    layer = sparse_layer(4, 5)
    y = layer(torch.randn(3, 5, dtype=torch.float64, requires_grad=True)).sum()
    with torch.no_grad():
        layer.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_gradients_add_up_over_backwards() -> None:
    layer = sparse_layer(4, 5)
    x = torch.randn(3, 5, dtype=torch.float64)
    layer(x).sum().backward()
    once = layer.weight.grad.clone()
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, 2 * once)


def test_first_and_differentiable_gradients_agree() -> None:
    module = sparse_network([5, 7, 3], ["relu", "tanh"])
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    inputs = [x, *module.parameters()]
    y = module(x).square().sum()
    plain = torch.autograd.grad(y, inputs, retain_graph=True)
    differentiable = torch.autograd.grad(y, inputs, create_graph=True)
    for a, b in zip(plain, differentiable, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_differentiable_gradient_of_a_layer_applied_to_its_own_output() -> None:
    layer = sparse_layer(6, 6)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    y = layer(torch.tanh(layer(x))).square().sum()
    inputs = [x, layer.weight, layer.bias]
    plain = torch.autograd.grad(y, inputs, retain_graph=True)
    differentiable = torch.autograd.grad(y, inputs, create_graph=True)
    for a, b in zip(plain, differentiable, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_gradgradcheck_of_a_layer_applied_to_its_own_output() -> None:
    layer = sparse_layer(4, 4)
    function, values = as_function(layer)
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(lambda x, *p: function(torch.tanh(function(x, *p)), *p), (x, *values), fast_mode=True)


def test_differentiable_gradient_when_one_argument_is_made_from_another() -> None:
    """As by a network that generates another's parameters."""
    layer = sparse_layer(4, 6)
    root = torch.randn(layer.topology.nnz, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 6, dtype=torch.float64)
    y = functional_call(layer, {"weight": root, "bias": root[:4].sin()}, (x,)).square().sum()
    (plain,) = torch.autograd.grad(y, root, retain_graph=True)
    (differentiable,) = torch.autograd.grad(y, root, create_graph=True)
    torch.testing.assert_close(plain, differentiable, rtol=1e-12, atol=1e-14)


def test_gradient_penalty_matches_dense() -> None:
    module = sparse_network([5, 7, 1], ["tanh", "identity"])
    twin = dense_twin(module)
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    for network in (module, twin):
        (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
        (slope.norm(dim=1) - 1).square().mean().backward()
    for index in (0, 2):
        expected = twin[index].weight.grad[positions(module[index].topology.edges)]
        torch.testing.assert_close(module[index].weight.grad, expected, rtol=1e-10, atol=1e-13)


def test_functional_call_takes_the_tensors_given() -> None:
    module = sparse_network([5, 7, 3], ["tanh", "identity"])
    x = torch.randn(6, 5, dtype=torch.float64)
    replaced = {name: p.detach() * 3 for name, p in module.named_parameters()}
    y = functional_call(module, replaced, (x,))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)
    torch.testing.assert_close(y, module(x))


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_parameters_may_be_strided(name: str) -> None:
    """A view of every other element holds the values it shows, not those that lie side by side."""
    layer = sparse_layer(4, 6)
    x = torch.randn(3, 6, dtype=torch.float64)
    strided = torch.randn(2 * getattr(layer, name).numel(), dtype=torch.float64)[::2].requires_grad_()
    packed = strided.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    y, expected = (functional_call(layer, {name: value}, (x,)) for value in (strided, packed))
    torch.testing.assert_close(y, expected)
    gradient, wanted = (torch.autograd.grad(z.square().sum(), v)[0] for z, v in ((y, strided), (expected, packed)))
    torch.testing.assert_close(gradient, wanted)


def test_input_and_output_gradient_may_be_strided() -> None:
    layer = sparse_layer(4, 6)
    x = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 5, dtype=torch.float64)
    y = layer(x.t())
    (gradient,) = torch.autograd.grad(y, x, weights.t())
    twin = dense_twin(layer)
    torch.testing.assert_close(y, twin(x.t()))
    torch.testing.assert_close(gradient, torch.autograd.grad(twin(x.t()), x, weights.t())[0])
    (broadcast,) = torch.autograd.grad(layer(x.t()).sum(), x)
    torch.testing.assert_close(broadcast, torch.autograd.grad(twin(x.t()).sum(), x)[0])


def test_one_layer_at_several_depths_sums_its_gradients() -> None:
    shared = sparse_layer(6, 6)
    module = SparseSequential(shared, nn.Tanh(), shared, nn.Tanh())
    twin = dense_twin(shared)
    x = torch.randn(8, 6, dtype=torch.float64)
    module(x).square().sum().backward()
    torch.tanh(twin(torch.tanh(twin(x)))).square().sum().backward()
    torch.testing.assert_close(shared.weight.grad, twin.weight.grad[positions(shared.topology.edges)])
    torch.testing.assert_close(shared.bias.grad, twin.bias.grad)


def test_inference_mode_before_training_leaves_nothing_behind() -> None:
    module = sparse_network([5, 7, 3], ["tanh", "identity"])
    with torch.inference_mode():
        module(torch.randn(4, 5, dtype=torch.float64))
        module(torch.randn(0, 5, dtype=torch.float64))
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
    slope.square().sum().backward()


def test_full_layer_is_a_dense_layer() -> None:
    linear = nn.Linear(7, 5, dtype=torch.float64)
    layer = SparseLinear.from_dense(linear, Topology(full_edges((5, 7))))
    x = torch.randn(11, 7, dtype=torch.float64)
    torch.testing.assert_close(layer(x), linear(x))
    layer(x).square().sum().backward()
    linear(x).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad.view(5, 7), linear.weight.grad)


@pytest.mark.parametrize("change", [0.5, 2.0])
def test_weights_of_another_number_than_the_connections_are_refused(change: float) -> None:
    """Whatever lies behind a short array in memory is no weight."""
    layer = sparse_layer(8, 8, 0.5)
    wrong = torch.zeros(int(change * layer.topology.nnz), dtype=torch.float64)
    with pytest.raises((ValueError, RuntimeError)):
        functional_call(layer, {"weight": wrong}, (torch.randn(3, 8, dtype=torch.float64),))


def test_bias_of_another_size_is_refused() -> None:
    layer = sparse_layer(8, 8, 0.5)
    with pytest.raises((ValueError, RuntimeError)):
        functional_call(layer, {"bias": torch.zeros(6, dtype=torch.float64)}, (torch.randn(3, 8, dtype=torch.float64),))


@pytest.mark.parametrize("name", ["0.bias", "2.weight", "2.bias"])
def test_parameters_of_another_dtype_are_refused(name: str) -> None:
    """As everywhere in torch: their bytes would be read as other numbers."""
    module = sparse_network([5, 7, 3], ["tanh", "identity"], dtype=torch.float32)
    wrong = module.get_parameter(name).detach().double()
    with pytest.raises((ValueError, RuntimeError)):
        functional_call(module, {name: wrong}, (torch.randn(3, 5),))
