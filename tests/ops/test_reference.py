"""The products in pure torch, and chains that run on them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers import dense_matrix, dense_twin, positions, random_graph, run_python, sparse_layer, sparse_network
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from sparse_agents.ops import reference
from sparse_agents.topology import Edges, full_edges

GRAPHS = {
    "usual": random_graph(7, 9, 0.4),
    "one connection": random_graph(4, 5, 0.0),
    "full": full_edges((3, 4)),
    "one to one": full_edges((1, 1)),
    "one output": random_graph(1, 9, 0.5),
    "one input": random_graph(9, 1, 0.5),
    "none": Edges.from_mask(torch.zeros(3, 4, dtype=torch.bool)),
}
graphs = pytest.mark.parametrize("edges", GRAPHS.values(), ids=GRAPHS.keys())


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@graphs
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_products_are_those_of_full_matrices(edges: Edges, batch: int) -> None:
    weight, x, y = normal(edges.nnz), normal(edges.shape[1], batch), normal(edges.shape[0], batch)
    matrix = torch.from_numpy(dense_matrix(edges, weight))
    torch.testing.assert_close(reference.matmul(edges, weight, x), matrix @ x)
    torch.testing.assert_close(reference.transposed_matmul(edges, weight, y), matrix.t() @ y)
    torch.testing.assert_close(reference.sampled(edges, y, x), (y @ x.t())[positions(edges)])


@graphs
def test_sampled_product_in_small_chunks(edges: Edges, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(edges.shape[1], 5), normal(edges.shape[0], 5)
    whole = reference.sampled(edges, y, x)
    monkeypatch.setattr(reference, "CHUNK_ELEMENTS", 10)
    assert torch.equal(reference.sampled(edges, y, x), whole)


SMALL = [
    random_graph(3, 4, 0.5),
    full_edges((2, 3)),
    full_edges((1, 1)),
    random_graph(1, 5, 0.5),
    random_graph(5, 1, 0.5),
]


@pytest.mark.parametrize("edges", SMALL)
@pytest.mark.parametrize("product", [reference.matmul, reference.transposed_matmul])
def test_products_are_differentiable_twice(product: Callable[[Edges, Tensor, Tensor], Tensor], edges: Edges) -> None:
    features = edges.shape[1] if product is reference.matmul else edges.shape[0]
    arguments = normal(edges.nnz).requires_grad_(), normal(features, 2).requires_grad_()
    assert gradcheck(lambda w, x: product(edges, w, x), arguments)
    assert gradgradcheck(lambda w, x: product(edges, w, x), arguments, fast_mode=True)


def test_third_derivative() -> None:
    edges = random_graph(3, 4, 0.5)
    weight, x = normal(edges.nnz).requires_grad_(), normal(4, 2).requires_grad_()

    def slope(w: Tensor, x: Tensor) -> Tensor:
        y = reference.matmul(edges, w, x).tanh().sum()
        return torch.autograd.grad(y, x, create_graph=True)[0]

    assert gradgradcheck(slope, (weight, x), fast_mode=True)


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chain_on_either_path_is_the_dense_network(backend: str, batch: int, dtype: torch.dtype) -> None:
    network = sparse_network([9, 21, 14, 3], ["relu", "tanh", "identity"], 0.4, dtype=dtype)
    twin = dense_twin(network)
    x = torch.randn(batch, 9, dtype=dtype)
    error = (network(x).double() - twin(x.double())).norm() / twin(x.double()).norm()
    assert error < {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]


def test_chain_without_kernels_gives_the_gradients_of_the_dense_network(reference_path: None) -> None:
    network = sparse_network([9, 21, 14, 3], ["relu", "tanh", "identity"], 0.4)
    twin = dense_twin(network)
    x, y = (normal(11, 9) for _ in range(2))
    y.copy_(x)
    x.requires_grad_()
    y.requires_grad_()
    network(x).square().sum().backward()
    twin(y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    for index in (0, 2, 4):
        sparse, linear = network[index], twin[index]
        torch.testing.assert_close(sparse.weight.grad, linear.weight.grad[positions(sparse.topology.edges)])
        torch.testing.assert_close(sparse.bias.grad, linear.bias.grad)


def test_reference_path_runs_no_kernel(reference_path: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = reference.matmul
    monkeypatch.setattr(reference, "matmul", lambda *args: calls.append(1) or original(*args))
    sparse_layer(4, 5)(normal(3, 5))
    assert calls


@pytest.mark.parametrize("shape", [(5,), (2, 3, 5), (0, 5), (2, 0, 5), (1, 1, 5)])
def test_inputs_of_any_rank(backend: str, shape: tuple[int, ...]) -> None:
    for module in (sparse_layer(4, 5), sparse_network([5, 6, 4], ["relu", "tanh"])):
        x = normal(*shape)
        y = module(x)
        assert y.shape == (*shape[:-1], 4)
        torch.testing.assert_close(y, dense_twin(module)(x))


def test_topology_replaced_before_the_backward(backend: str) -> None:
    """The gradient would be in the order of connections that are gone."""
    layer = sparse_layer(5, 6)
    y = layer(normal(3, 6)).sum()
    other = layer.topology.edges.mask().flip(0)
    layer.topology.replace(Edges.from_mask(other))
    with pytest.raises(RuntimeError, match="topology changed"):
        y.backward()


DISABLED = """
import warnings
warnings.simplefilter("error", RuntimeWarning)
import torch
from torch import nn
from sparse_agents import SparseLinear, backend_info
from sparse_agents.ops import supported_isas
layer = SparseLinear(20, 10, sparsity=0.5)
x = torch.randn(7, 20, requires_grad=True)
layer(x).square().sum().backward()
dense = layer.to_dense()
torch.testing.assert_close(layer(x), dense(x))
info = backend_info()
assert info.backend == "reference" and info.isa is None and info.library is None, info
assert any("SPARSE_AGENTS_NO_NATIVE" in note for note in info.notes), info
assert supported_isas() == []
"""


def test_kernels_switched_off_by_the_environment() -> None:
    """On purpose, so without a warning."""
    done = run_python(DISABLED, SPARSE_AGENTS_NO_NATIVE="1")
    assert done.returncode == 0, done.stderr


def test_layer_by_layer_equals_chain(reference_path: None) -> None:
    network = sparse_network([5, 6, 4], ["relu", "tanh"])
    x = normal(3, 5)
    torch.testing.assert_close(network(x), nn.Sequential.forward(network, x))
