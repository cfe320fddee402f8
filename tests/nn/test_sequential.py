"""Runs of layers computed as a whole, and everything a Sequential promises besides."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import dense_twin, positions, random_graph, sparse_layer, sparse_network
from torch import Tensor, nn

from sparse_agents import SparseLinear, SparseSequential
from sparse_agents.nn import fuse
from sparse_agents.ops import MAX_LAYERS, Chain
from sparse_agents.ops import chain as chain_module


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def dense(out_features: int, in_features: int) -> nn.Linear:
    return nn.Linear(in_features, out_features, dtype=torch.float64)


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of layers of every chain that runs."""
    lengths: list[int] = []
    check = chain_module._fits

    def counting(chain: Chain, *args: Any) -> bool:
        lengths.append(len(chain.edges))
        return check(chain, *args)

    monkeypatch.setattr(chain_module, "_fits", counting)
    return lengths


def assert_same_as_layer_by_layer(module: SparseSequential, x: Tensor) -> None:
    x = x.clone().requires_grad_()
    results = []
    for run in (module, lambda value: nn.Sequential.forward(module, value)):
        module.zero_grad()
        x.grad = None
        torch.manual_seed(5)
        y = run(x)
        y.square().sum().backward()
        results.append([y.detach(), x.grad, *(p.grad for p in module.parameters())])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)


MODULES: dict[str, tuple[Callable[[], list[nn.Module]], list[int]]] = {
    "usual": (lambda: [sparse_layer(8, 5), nn.ReLU(), sparse_layer(6, 8), nn.Tanh(), sparse_layer(2, 6)], [3]),
    "one layer": (lambda: [sparse_layer(8, 5)], [1]),
    "dense output": (lambda: [sparse_layer(8, 5), nn.ReLU(), dense(3, 8), nn.Tanh()], [2]),
    "dense input": (lambda: [dense(8, 5), nn.ReLU(), sparse_layer(3, 8)], [2]),
    "no activations": (lambda: [sparse_layer(8, 5), sparse_layer(6, 8)], [2]),
    "identity": (lambda: [sparse_layer(8, 5), nn.Identity(), nn.ReLU(), sparse_layer(6, 8), nn.Identity()], [2]),
    "two activations": (lambda: [sparse_layer(8, 5), nn.ReLU(), nn.Tanh(), sparse_layer(6, 8)], [1, 1]),
    "activation first": (lambda: [nn.Tanh(), sparse_layer(8, 5), nn.ReLU(), sparse_layer(6, 8)], [2]),
    "layer norm": (
        lambda: [sparse_layer(8, 5), nn.ReLU(), nn.LayerNorm(8, dtype=torch.float64), sparse_layer(6, 8), nn.Tanh()],
        [1, 1],
    ),
    "dropout": (lambda: [sparse_layer(8, 5), nn.ReLU(), nn.Dropout(0.4), sparse_layer(6, 8), nn.Tanh()], [1, 1]),
    "other activation": (lambda: [sparse_layer(8, 5), nn.ELU(), sparse_layer(6, 8), nn.Softplus()], [1, 1]),
    "in place": (lambda: [sparse_layer(8, 5), nn.ReLU(inplace=True), sparse_layer(6, 8), nn.ReLU(inplace=True)], [2]),
    "nested": (
        lambda: [SparseSequential(sparse_layer(8, 5), nn.ReLU(), sparse_layer(7, 8)), nn.Tanh(), sparse_layer(3, 7)],
        [2, 1],
    ),
    "no bias": (lambda: [sparse_layer(8, 5, bias=False), nn.ReLU(), sparse_layer(3, 8, bias=False)], [2]),
    "dense without bias": (
        lambda: [sparse_layer(8, 5), nn.ReLU(), nn.Linear(8, 3, bias=False, dtype=torch.float64)],
        [2],
    ),
    "dense run apart": (
        lambda: [sparse_layer(8, 5), nn.LayerNorm(8, dtype=torch.float64), dense(6, 8), nn.ReLU(), dense(2, 6)],
        [1],
    ),
}


@pytest.mark.parametrize(("make", "lengths"), MODULES.values(), ids=MODULES.keys())
def test_equals_layer_by_layer(make: Callable[[], list[nn.Module]], lengths: list[int], chains: list[int]) -> None:
    module = SparseSequential(*make())
    x = normal(9, 5)
    module(x)
    assert chains == lengths
    for training in (True, False):
        assert_same_as_layer_by_layer(module.train(training), x)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 5), (0, 5)])
def test_inputs_of_any_rank(shape: tuple[int, ...]) -> None:
    assert_same_as_layer_by_layer(sparse_network([5, 8, 3], ["relu", "tanh"]), normal(*shape))


def test_longer_than_one_chain_may_be(chains: list[int]) -> None:
    layers = MAX_LAYERS + 6
    module = SparseSequential(*(part for seed in range(layers) for part in (sparse_layer(4, 4, seed=seed), nn.Tanh())))
    module(normal(3, 4))
    assert chains == [MAX_LAYERS, 6]
    assert_same_as_layer_by_layer(module, normal(3, 4))


def test_without_children_nothing_happens() -> None:
    x = normal(2, 3)
    assert SparseSequential()(x) is x


def test_wrong_input_is_refused() -> None:
    module = sparse_network([5, 8, 3], ["relu", "tanh"])
    with pytest.raises(ValueError, match="5 inputs"):
        module(normal(2, 6))
    with pytest.raises(ValueError, match=r"float64 weights got torch\.float32"):
        module(torch.randn(2, 5))


HOOKS = ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
         "register_full_backward_pre_hook"]  # fmt: skip


@pytest.mark.parametrize("child", [0, 1, 2])
@pytest.mark.parametrize("kind", HOOKS)
def test_every_kind_of_hook_is_called_until_removed(kind: str, child: int) -> None:
    module = sparse_network([5, 8, 3], ["relu", "identity"])
    x = normal(4, 5).requires_grad_()
    expected = module(x)
    calls: list[nn.Module] = []
    handle = getattr(module[child], kind)(lambda hooked, *_: calls.append(hooked))
    y = module(x)
    y.sum().backward()
    assert calls == [module[child]]
    torch.testing.assert_close(y, expected)
    handle.remove()
    module(x).sum().backward()
    assert calls == [module[child]]


def test_hooks_see_the_tensors_of_each_layer(chains: list[int]) -> None:
    module = sparse_network([5, 8, 6, 3], ["relu", "tanh", "identity"])
    twin = dense_twin(module)
    seen: list[Tensor] = []
    for part in module:
        part.register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    x = normal(4, 5)
    module(x)
    assert chains == [1, 1, 1]
    h = x
    for (before, after), part in zip(zip(seen[::2], seen[1::2], strict=True), twin, strict=True):
        torch.testing.assert_close(before, h)
        h = part(h)
        torch.testing.assert_close(after, h)


def test_backward_hooks_see_the_gradients_of_each_layer() -> None:
    module = sparse_network([5, 8, 3], ["tanh", "identity"])
    twin = dense_twin(module)
    seen: dict[str, Tensor] = {}
    for name, network in (("sparse", module), ("dense", twin)):
        network[1].register_full_backward_hook(lambda _, inputs, outputs, name=name: seen.update({name: inputs[0]}))
    x = normal(4, 5)
    module(x).square().sum().backward()
    twin(x).square().sum().backward()
    torch.testing.assert_close(seen["sparse"], seen["dense"])


def test_hook_may_change_the_output() -> None:
    module = sparse_network([5, 8, 3], ["relu", "identity"])
    x = normal(4, 5)
    module(x)
    module[0].register_forward_hook(lambda _, inputs, output: torch.zeros_like(output))
    torch.testing.assert_close(module(x), module[2].bias.expand(4, 3))


def test_children_may_be_exchanged_appended_and_removed() -> None:
    module = sparse_network([5, 8, 3], ["relu", "tanh"])
    x = normal(4, 5)
    module(x)
    module[2] = sparse_layer(3, 8, seed=9)
    assert_same_as_layer_by_layer(module, x)
    module.append(sparse_layer(2, 3))
    assert module(x).shape == (4, 2)
    assert_same_as_layer_by_layer(module, x)
    del module[1]
    assert_same_as_layer_by_layer(module, x)
    part = module[:1]
    assert type(part) is SparseSequential
    torch.testing.assert_close(part(x), module[0](x))


def test_exchanged_parameters_are_used() -> None:
    module = sparse_network([5, 8, 3], ["relu", "tanh"])
    x = normal(4, 5)
    module(x)
    module[0].weight = nn.Parameter(torch.zeros_like(module[0].weight))
    assert_same_as_layer_by_layer(module, x)


def test_replaced_topology_is_used_at_once() -> None:
    module = sparse_network([5, 8, 3], ["relu", "tanh"])
    x = normal(4, 5)
    module(x)
    other = random_graph(8, 5, 0.5, seed=8)
    module[0].weight.data = normal(other.nnz)
    module[0].topology.replace(other)
    torch.testing.assert_close(module(x), dense_twin(module)(x))


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_over_a_replaced_topology_is_refused(layer: int, create_graph: bool) -> None:
    module = sparse_network([5, 8, 3], ["relu", "tanh"])
    y = module(normal(4, 5)).sum()
    topology = module[layer].topology
    topology.replace(random_graph(*topology.shape, 0.5, seed=8))
    with pytest.raises(RuntimeError, match="topology changed between this forward and its backward"):
        torch.autograd.grad(y, module[layer].bias, create_graph=create_graph)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("used", [False, True])
def test_copies_compute_the_same_with_parameters_of_their_own(
    copied: Callable[[SparseSequential], SparseSequential], used: bool
) -> None:
    module = sparse_network([5, 8, 3], ["relu", "tanh"])
    x = normal(4, 5)
    if used:
        module(x).sum().backward()
    twin = copied(module)
    y = module(x)
    assert type(twin) is SparseSequential
    assert torch.equal(twin(x), y)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert not twin(x).any()
    assert torch.equal(module(x), y)


def test_state_round_trip_with_other_numbers_of_connections() -> None:
    saved, module = (sparse_network([5, 8, 3], ["relu", "tanh"], density) for density in (0.8, 0.3))
    x = normal(4, 5)
    module(x)
    module.load_state_dict(saved.state_dict())
    assert torch.equal(module(x), saved(x))


def test_fuse_turns_sequentials_with_a_sparse_child_and_no_others() -> None:
    module = nn.ModuleDict(
        {
            "sparse": nn.Sequential(sparse_layer(8, 5), nn.ReLU()),
            "dense": nn.Sequential(dense(8, 5), nn.ReLU()),
            "outer": nn.Sequential(nn.Sequential(sparse_layer(8, 5)), nn.ReLU()),
        }
    )
    before = dict(module.named_modules())
    fuse(module)
    assert dict(module.named_modules()) == before
    assert type(module["sparse"]) is SparseSequential
    assert type(module["dense"]) is nn.Sequential
    assert type(module["outer"]) is nn.Sequential
    assert type(module["outer"][0]) is SparseSequential


class Doubled(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class DoubledSparse(SparseLinear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize("kind", [Doubled, DoubledSparse])
def test_layers_with_a_forward_of_their_own_run_it(kind: Callable[..., nn.Module]) -> None:
    module = SparseSequential(sparse_layer(8, 5), nn.ReLU(), kind(8, 3, dtype=torch.float64))
    assert_same_as_layer_by_layer(module, normal(4, 5))


def test_parametrized_dense_layer_works() -> None:
    """As by spectral normalisation: the weight is computed at each access."""
    normed = nn.utils.parametrizations.spectral_norm(dense(3, 8))
    module = SparseSequential(sparse_layer(8, 5), nn.ReLU(), normed).eval()
    x = normal(4, 5)
    torch.testing.assert_close(module(x), nn.Sequential.forward(module, x))


def test_dense_weight_may_be_strided() -> None:
    linear = dense(3, 8)
    linear.weight = nn.Parameter(normal(8, 3).t())
    assert_same_as_layer_by_layer(SparseSequential(sparse_layer(8, 5), nn.ReLU(), linear), normal(4, 5))


def test_gradients_of_a_dense_layer_in_a_chain_have_its_shape() -> None:
    module = SparseSequential(sparse_layer(8, 5), nn.Tanh(), dense(3, 8))
    twin = dense_twin(module)
    x = normal(6, 5)
    module(x).square().sum().backward()
    twin(x).square().sum().backward()
    torch.testing.assert_close(module[2].weight.grad, twin[2].weight.grad)
    torch.testing.assert_close(module[0].weight.grad, twin[0].weight.grad[positions(module[0].topology.edges)])
