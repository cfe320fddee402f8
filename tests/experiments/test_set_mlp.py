"""Wide classifiers, against SciPy's matrices, and on data with a planted structure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_agents.errors import ConfigurationError
from sparse_agents.experiments.gene_expression import GeneExpression, planted, read_csv
from sparse_agents.experiments.scipy_mlp import ScipyMLP
from sparse_agents.experiments.set_mlp import SIZES, SetMLP, Size
from sparse_agents.nn import sparse_layers

SMALL = Size(hidden=(60, 50), epsilon=4, epochs=12, batch=32, learning_rate=0.05)


def data() -> GeneExpression:
    return planted(samples=600, genes=3000, classes=3)


def test_planted_classes_are_shifts_of_standard_genes() -> None:
    found = data()
    assert (found.x.shape, found.x_test.shape, found.classes) == ((400, 3000), (200, 3000), 3)
    assert torch.allclose(found.x.mean(0), torch.zeros(3000), atol=1e-5)
    assert torch.allclose(found.x.std(0), torch.ones(3000), atol=1e-3)
    of_a_class = found.x[found.y == 0].mean(0).abs()
    assert 20 < int((of_a_class > 0.35).sum()) < 100, "30 genes of its own, and the 60 of the others"
    same = planted(samples=600, genes=3000, classes=3)
    assert torch.equal(found.x, same.x)


def test_sizes_are_the_papers() -> None:
    """1.05 and 0.007 percent of a dense network, the latter of over a million neurons."""
    for name, percent in (("small", 1.054), ("million", 0.0074)):
        assert 100 * (1 - SIZES[name].sparsity(54_675, 18)) == pytest.approx(percent, rel=0.01)
    assert 54_675 + sum(SIZES["million"].hidden) + 18 > 1_000_000


def test_it_learns_and_rewires_after_every_epoch_but_the_last() -> None:
    model = SetMLP(SMALL, data())
    assert model.batches == 12
    before = {name: layer.topology.edges for name, layer in sparse_layers(model.network).items()}
    updates: list[int] = []
    model.controller.listeners.append(lambda *_: updates.append(model.controller.steps))
    done: list[int] = []
    epochs = list(model.train(lambda: done.append(1)))
    assert len(done) == 12 * 12
    assert sorted(set(updates)) == [12 * epoch for epoch in range(1, 12)]
    assert epochs[-1].loss < epochs[0].loss
    assert epochs[-1].accuracy > 60, "three classes: a third by chance"
    first = before["0"]
    assert first.nnz == pytest.approx(4 * 3060, rel=0.01)
    assert not sparse_layers(model.network)["0"].topology.edges.same_as(first)


def test_scipys_matrices_take_the_same_steps() -> None:
    model = SetMLP(replace(SMALL, epochs=1), data())
    rival = ScipyMLP(model.network, SMALL.learning_rate)
    x, y = model.data.x[:32], model.data.y[:32]
    for _ in range(3):
        assert model.step(x, y) == pytest.approx(rival.step(x.numpy(), y.numpy()), rel=1e-4)
    for layer, weight, bias in zip(sparse_layers(model.network).values(), rival.weights, rival.biases, strict=True):
        ours = layer.topology.edges.dense(layer.weight.detach())
        assert np.allclose(ours.t().numpy(), weight.toarray(), atol=1e-5)
        assert np.allclose(layer.bias.detach().numpy(), bias, atol=1e-5)


def test_scipys_update_moves_the_weights_nearest_zero() -> None:
    model = SetMLP(replace(SMALL, epochs=1), data())
    rival = ScipyMLP(model.network, SMALL.learning_rate)
    rival.step(model.data.x[:32].numpy(), model.data.y[:32].numpy())
    before = [weight.toarray() for weight in rival.weights]
    rival.evolve(0.3, np.random.default_rng(0))
    for old, weight in zip(before, rival.weights, strict=True):
        new = weight.toarray()
        assert weight.nnz == (old != 0).sum()
        assert weight.has_sorted_indices
        stayed = (old != 0) & (new == old)
        assert abs(stayed.sum() / weight.nnz - 0.7) < 0.02
        for sign in (1, -1):
            left, gone = sign * old[stayed & (sign * old > 0)], sign * old[(old != new) & (sign * old > 0)]
            assert gone.max() <= left.min()
    rival.step(model.data.x[:32].numpy(), model.data.y[:32].numpy())


def test_the_real_data_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "genes.csv"
    rng = np.random.default_rng(0)
    rows = [",".join([*(f"{v:.4f}" for v in rng.standard_normal(5)), "ab"[i % 2]]) for i in range(12)]
    path.write_text("\n".join(["g1,g2,g3,g4,g5,class", *rows]))
    found = read_csv(path)
    assert (found.x.shape, found.x_test.shape, found.classes) == ((8, 5), (4, 5), 2)
    assert {*found.y.tolist(), *found.y_test.tolist()} == {0, 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no file"),
        ("a,b,class\n1,x,0\n2,3,1\n", "not a table of numbers"),
        ("a,b,class\n1,,0\n2,3,1\n4,4,1\n", "missing or infinite"),
        ("a,b,class\n1,2,0\n2,3,0\n4,4,0\n", "too few to learn from"),
        ("class\na\nb\na\nb\n", "0 genes"),
    ],
)
def test_a_file_that_is_none_is_named(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "genes.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        read_csv(path)
