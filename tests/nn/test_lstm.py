"""Sparse LSTMs, against torch's own with its weights masked."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from sparse_agents import densify, sparsify
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLinear, UnrolledLSTM, dense_layers, sparse_layers, unrolled

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 4, 6


class Recurrent(nn.Module):
    """An LSTM and a head."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(INPUTS, HIDDEN, dtype=torch.float64, **options)  # type: ignore[arg-type]
        self.head = nn.Linear(HIDDEN, 2, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, (h, c) = self.lstm(x)
        out: torch.Tensor = self.head(y) + h.sum() + c.sum()
        return out


def inputs(*shape: int) -> torch.Tensor:
    return torch.randn(
        *(shape or (STEPS, BATCH, INPUTS)), dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def masked(network: Recurrent) -> Recurrent:
    """Torch's LSTM with the weights of a sparse one, zeros where it has no connection."""
    dense = densify(network)
    assert isinstance(dense, Recurrent)
    assert type(dense.lstm) is nn.LSTM
    return dense


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("batched", [True, False])
def test_unrolled_is_the_same_function(
    layers: int, bias: bool, batch_first: bool, with_state: bool, batched: bool
) -> None:
    network = nn.Sequential(nn.LSTM(INPUTS, HIDDEN, layers, bias=bias, batch_first=batch_first, dtype=torch.float64))
    x = inputs() if batched else inputs(STEPS, INPUTS)
    batch = x.shape[0 if batch_first else 1] if batched else None
    shape = (layers, HIDDEN) if batch is None else (layers, batch, HIDDEN)
    state = (inputs(*shape), 2 * inputs(*shape)) if with_state else None
    x.requires_grad_()
    results = []
    for unroll in (False, True):
        if unroll:
            before = list(network.parameters())
            with unrolled(network):
                assert isinstance(network[0], UnrolledLSTM)
                assert {*network.parameters()} == {*before}  # whoever holds them keeps the right ones
                y, (h, c) = network[0](x, state)
            assert type(network[0]) is nn.LSTM
            assert list(network.parameters()) == before
        else:
            y, (h, c) = network[0](x, state)
        loss = (y**2).sum() + (h * c).sum()
        gradients = torch.autograd.grad(loss, [x, *network.parameters()])
        results.append((y, h, c, *gradients))
    for expected, found in zip(*results, strict=True):
        assert expected.shape == found.shape
        assert torch.allclose(expected, found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", ["csr", "masked"])
@pytest.mark.parametrize("layers", [1, 2])
def test_sparse_is_torchs_with_masked_weights(backend: str, layers: int) -> None:
    network = Recurrent(num_layers=layers)
    sparsify(network, sparsity=0.6, distribution="uniform", backend=backend, seed=0)
    names = [f"lstm.{m}_l{i}" for i in range(layers) for m in ("ih", "hh")]
    assert list(sparse_layers(network)) == [*names, "head"]
    dense = masked(network)
    x = inputs()
    expected, found = dense(x), network(x)
    assert torch.allclose(expected, found, rtol=0, atol=1e-12)
    expected.square().sum().backward()
    found.square().sum().backward()
    for name, layer in sparse_layers(network).items():
        if name == "head":
            continue
        matrix = name.removeprefix("lstm.")
        gradient = dense.lstm.get_parameter(f"weight_{matrix}").grad
        assert gradient is not None
        assert layer.weight.grad is not None
        assert torch.allclose(layer.weight.grad, gradient.reshape(-1)[layer.topology.edges.ids], rtol=0, atol=1e-12)
        bias = dense.lstm.get_parameter(f"bias_{matrix}").grad
        assert layer.bias is not None
        assert layer.bias.grad is not None
        assert bias is not None
        assert torch.allclose(layer.bias.grad, bias, rtol=0, atol=1e-12)


def test_rules_see_the_dense_gradient_through_all_steps() -> None:
    network = Recurrent()
    sparsify(network, sparsity=0.6, distribution="uniform", seed=0)
    dense = masked(network)
    layer = sparse_layers(network)["lstm.hh_l0"]
    layer.probe.arm(layer.weight)
    network(inputs()).square().sum().backward()
    dense(inputs()).square().sum().backward()
    found = torch.cat([tile.reshape(-1) for _, tile in layer.probe.tiles()])
    expected = dense.lstm.weight_hh_l0.grad
    assert expected is not None
    assert torch.allclose(found, expected.reshape(-1), rtol=0, atol=1e-10)


def test_one_that_stays_dense_stays_itself() -> None:
    network = Recurrent()
    lstm, calls = network.lstm, []
    lstm.register_forward_hook(lambda *_: calls.append(1))
    sparsify(network, sparsity=0.6, exclude=["lstm.*"], seed=0)
    assert network.lstm is lstm
    network(inputs())
    assert calls == [1]


def test_weights_that_are_computed_stay_so() -> None:
    network = nn.ModuleDict({"a": Recurrent(), "b": Recurrent()})
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(network["a"].lstm, "weight_hh_l0")
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(network["a"].head)
    sparsify(network, sparsity=0.5, seed=0)
    assert list(sparse_layers(network)) == ["b.lstm.ih_l0", "b.lstm.hh_l0", "b.head"]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch asks while it traces
def test_training_while_compiled() -> None:
    """In float32, where torch would take another LSTM for training than the one it can trace."""
    network = Recurrent().float()
    sparsify(network, sparsity=0.5, backend="masked", seed=0)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager")
    x, gradients = inputs().float(), []
    for module in (network, compiled, compiled):
        network.zero_grad()
        module(x).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    for ours, *by_compiled in zip(*gradients, strict=True):
        assert all(torch.allclose(one, ours) for one in by_compiled)


def test_gates_exchange_connections() -> None:
    """Selfish-RNN: the weakest of all gates go, and the whole keeps its number."""
    network = Recurrent()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    options = {"update_interval": 1, "drop_fraction": 0.5, "schedule": "constant"}
    sparsify(network, sparsity=0.5, distribution="uniform", topology_kwargs=options, optimizer=optimizer, seed=0)
    layer = sparse_layers(network)["lstm.hh_l0"]
    gate = layer.topology.edges.row // HIDDEN
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.weight[gate == 2] = 0.01  # the cell gate is the weakest
    before = torch.bincount(gate, minlength=4)
    network(inputs()).square().sum().backward()
    optimizer.step()
    after = torch.bincount(layer.topology.edges.row // HIDDEN, minlength=4)
    assert after.sum() == before.sum()
    kept = layer.weight[layer.topology.edges.row // HIDDEN == 2]
    assert not (kept == 0.01).any()
    assert after.tolist() != before.tolist()


def test_what_is_excluded_stays_torchs() -> None:
    network = Recurrent()
    before = list(network.lstm.parameters())
    sparsify(network, exclude=["lstm.*"], seed=0)
    assert type(network.lstm) is nn.LSTM
    assert list(network.lstm.parameters()) == before

    half = Recurrent()
    sparsify(half, exclude=["lstm.ih_*"], seed=0)
    assert list(sparse_layers(half)) == ["lstm.hh_l0", "head"]
    assert list(dense_layers(half)) == ["lstm.ih_l0"]
    assert torch.allclose(half(inputs()), masked(half)(inputs()), rtol=0, atol=1e-12)


def test_mistaken_options_leave_the_module_alone() -> None:
    network = Recurrent()
    with pytest.raises(ConfigurationError, match="layer in exclude"):
        sparsify(network, exclude=["lstn.*"])
    assert type(network.lstm) is nn.LSTM


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"proj_size": 2}])
def test_other_kinds_stay_dense(options: dict[str, object]) -> None:
    network = nn.Sequential(nn.LSTM(INPUTS, HIDDEN, **options), nn.Linear(3, 3))  # type: ignore[arg-type]
    sparsify(network, seed=0)
    assert list(sparse_layers(network)) == ["1"]


def test_an_lstm_alone_is_to_be_wrapped() -> None:
    with pytest.raises(ConfigurationError, match=r"nn\.Sequential\(layer\)"):
        sparsify(nn.LSTM(INPUTS, HIDDEN))


def test_packed_sequences_are_refused() -> None:
    network = nn.Sequential(nn.LSTM(INPUTS, HIDDEN, dtype=torch.float64))
    sparsify(network, seed=0)
    packed = nn.utils.rnn.pack_padded_sequence(inputs(), torch.tensor([5, 3, 2]))
    with pytest.raises(ConfigurationError, match="PackedSequence"):
        network(packed)


def test_dropout_between_layers_while_training() -> None:
    network = Recurrent(num_layers=2, dropout=0.5)
    sparsify(network, sparsity=0.3, seed=0)
    network.eval()
    assert torch.allclose(network(inputs()), masked(network)(inputs()), rtol=0, atol=1e-12)
    network.train()
    lstm = network.lstm
    assert isinstance(lstm, UnrolledLSTM)
    first, second = lstm(inputs())[1][0], lstm(inputs())[1][0]
    assert torch.equal(first[0], second[0])  # before any dropout
    assert not torch.equal(first[1], second[1])


def test_copies_and_states() -> None:
    network = Recurrent()
    sparsify(network, sparsity=0.6, seed=0)
    x = inputs()
    expected = network(x)
    assert torch.equal(copy.deepcopy(network)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(network))(x), expected)
    other = Recurrent()
    sparsify(other, sparsity=0.2, seed=5)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x), expected)
    assert all(isinstance(layer, SparseLinear) for layer in sparse_layers(other).values())


@pytest.mark.parametrize("backend", ["csr", "masked"])
def test_wrong_shapes_are_refused(backend: str) -> None:
    """torch.lstm itself would write beyond its memory."""
    network = nn.Sequential(nn.LSTM(INPUTS, HIDDEN, dtype=torch.float64))
    sparsify(network, sparsity=0.5, backend=backend, seed=0)
    x, good = inputs(), (inputs(1, BATCH, HIDDEN), inputs(1, BATCH, HIDDEN))
    for bad in ((1, BATCH - 1, HIDDEN), (2, BATCH, HIDDEN), (1, BATCH, HIDDEN + 1), (1, 1, HIDDEN)):
        with pytest.raises(ValueError, match="sparse LSTM of 4 inputs"):
            network[0](x, (good[0], inputs(*bad)))
        with pytest.raises(ValueError, match="sparse LSTM of 4 inputs"):
            network[0](x, (inputs(*bad), good[1]))
    with pytest.raises(ValueError, match="sparse LSTM of 4 inputs"):
        network[0](inputs(STEPS, BATCH, INPUTS + 1), good)
    network[0](x, good)
