from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from dense_simulation import DenseSimulation
from torch import nn

from sparse_agents import SparseLinear, TopologyController, sparsify
from sparse_agents.nn import sparse_layers
from sparse_agents.rules import SET, Static
from sparse_agents.topology import Schedule

WIDTHS = (6, 24, 16, 3)


def network(dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(WIDTHS):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(dtype)


def data(dtype: torch.dtype, step: int, batch: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(batch, WIDTHS[0], generator=generator, dtype=torch.float64)
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 2].sin(), x[:, 3:].prod(1)], dim=1)
    return x.to(dtype), y.to(dtype)


def sparse(
    dtype: torch.dtype, rule: str, **timing: object
) -> tuple[nn.Sequential, TopologyController, torch.optim.Adam]:
    module = network(dtype)
    controller = sparsify(
        module, sparsity=0.7, distribution="uniform", dense=["4"], topology=rule, topology_kwargs=timing, seed=5
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-3)
    controller.attach(optimizer)
    return module, controller, optimizer


def simulation(module: nn.Sequential) -> DenseSimulation:
    linear = [m for m in module if isinstance(m, SparseLinear | nn.Linear)]
    masks = [
        m.topology.edges.mask() if isinstance(m, SparseLinear) else torch.ones_like(m.weight, dtype=torch.bool)
        for m in linear
    ]
    weights = [
        m.topology.edges.dense(m.weight.detach()) if isinstance(m, SparseLinear) else m.weight.detach() for m in linear
    ]
    return DenseSimulation(weights, [m.bias.detach() for m in linear], masks, lr=3e-3)


def assert_equal(module: nn.Sequential, dense: DenseSimulation, tolerance: float) -> None:
    linear = [m for m in module if isinstance(m, SparseLinear | nn.Linear)]
    for i, layer in enumerate(linear):
        if isinstance(layer, SparseLinear):
            assert torch.equal(layer.topology.edges.mask(), dense.masks[i])
            weight = layer.topology.edges.dense(layer.weight.detach())
        else:
            weight = layer.weight.detach()
        assert (weight.double() - dense.weights[i]).abs().max() < tolerance
        assert (layer.bias.detach().double() - dense.biases[i]).abs().max() < tolerance


@pytest.mark.parametrize("rule", ["set", "rigl"])
def test_a_thousand_steps_with_rewiring_equal_masked_dense_training(rule: str) -> None:
    """Free-running in float64: 200 updates, same edges, weights to 1e-9."""
    module, controller, optimizer = sparse(
        torch.float64, rule, update_interval=5, drop_fraction=0.3, schedule="constant"
    )
    dense = simulation(module)
    generator = torch.Generator()
    generator.set_state(controller.generator.get_state())
    for step in range(1, 1001):
        x, y = data(torch.float64, step)
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        optimizer.step()
        gradients = dense.gradients(x, y)
        if rule == "rigl" and step % 5 == 0:
            dense.rigl_update(0.3, gradients[0])
        else:
            dense.adam(*gradients)
        if rule == "set" and step % 5 == 0:
            dense.set_update(0.3, generator)
        if step % 100 == 0:
            assert_equal(module, dense, 1e-9)
            for layer in sparse_layers(module).values():
                moment = optimizer.state[layer.weight]["exp_avg"]
                assert moment.shape == layer.weight.shape
    first = sparse_layers(module)["0"]
    moment = first.topology.edges.dense(optimizer.state[first.weight]["exp_avg"])
    assert (moment - dense.moments[0][0]).abs().max() < 1e-9


@pytest.mark.parametrize("rule", ["set", "rigl"])
def test_float32_updates_one_at_a_time_from_a_common_state(rule: str) -> None:
    module, controller, optimizer = sparse(
        torch.float32, rule, update_interval=3, drop_fraction=0.3, schedule="constant"
    )
    for step in range(1, 61):
        dense = simulation(module)
        dense.t = int(next(iter(optimizer.state.values()))["step"]) if optimizer.state else 0
        linear = [m for m in module if isinstance(m, SparseLinear | nn.Linear)]
        for i, layer in enumerate(linear):
            for slot, key in enumerate(("exp_avg", "exp_avg_sq")):
                if layer.weight in optimizer.state:
                    value = optimizer.state[layer.weight][key]
                    sparse_value = layer.topology.edges.dense(value) if isinstance(layer, SparseLinear) else value
                    dense.moments[i][slot] = sparse_value.double()
                    dense.moments[len(linear) + i][slot] = optimizer.state[layer.bias][key].double()
        generator = torch.Generator()
        generator.set_state(controller.generator.get_state())
        x, y = data(torch.float32, step)
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        optimizer.step()
        gradients = dense.gradients(x.double(), y.double())
        if rule == "rigl" and step % 3 == 0:
            dense.rigl_update(0.3, gradients[0])
        else:
            dense.adam(*gradients)
        if rule == "set" and step % 3 == 0:
            dense.set_update(0.3, generator)
        assert_equal(module, dense, 1e-4 * 3e-3 + 1e-6)


def test_two_hundred_rewires_keep_every_invariant() -> None:
    module, controller, _ = sparse(torch.float32, "set", update_interval=1, drop_fraction=0.5)
    before = {name: layer.topology.nnz for name, layer in sparse_layers(module).items()}
    for step in range(200):
        controller.rewire(step + 1)
        for name, layer in sparse_layers(module).items():
            edges = layer.topology.edges
            assert edges.nnz == before[name] == len(layer.weight)
            assert (edges.ids.diff() > 0).all()
            transpose = edges.transpose
            assert torch.equal(edges.col[transpose.slot.long()].sort().values, edges.col[transpose.slot.long()])
            assert torch.equal(edges.row[transpose.slot.long()], transpose.row.long())


def test_followers_keep_their_values_on_their_edges() -> None:
    """A target layer sharing the topology: its own weights move with the connections."""
    module, controller, _ = sparse(torch.float32, "set", update_interval=1, drop_fraction=0.4)
    online = sparse_layers(module)["0"]
    target = SparseLinear(online.in_features, online.out_features, topology=online.topology)
    controller.followers["0"] = (target,)
    before = target.topology.edges.dense(target.weight.detach())
    signs = online.weight.detach().clone()
    controller.rewire(1)
    after = target.topology.edges.dense(target.weight.detach())
    kept = (before != 0) & (after != 0)
    dropped = sum(int(0.4 * int(sign.sum())) for sign in (signs >= 0, signs < 0))
    assert torch.equal(after[kept], before[kept])
    assert int(kept.sum()) == online.topology.nnz - dropped
    assert len(target.weight) == len(online.weight)


def test_rigl_replaces_the_step() -> None:
    """On an update step no weight that survives moves, and Adam's counter stands still."""
    module, _, optimizer = sparse(torch.float64, "rigl", update_interval=2, drop_fraction=0.3, schedule="constant")
    loss = lambda s: ((module(data(torch.float64, s)[0]) - data(torch.float64, s)[1]) ** 2).mean()  # noqa: E731
    optimizer.zero_grad()
    loss(1).backward()
    optimizer.step()
    layer = sparse_layers(module)["2"]
    before = layer.topology.edges.dense(layer.weight.detach())
    bias = layer.bias.detach().clone()  # type: ignore[union-attr]
    counter = float(optimizer.state[layer.bias]["step"])
    optimizer.zero_grad()
    loss(2).backward()
    optimizer.step()
    after = layer.topology.edges.dense(layer.weight.detach())
    assert torch.equal(after[after != 0], before[after != 0])
    assert torch.equal(layer.bias, bias)  # type: ignore[arg-type]
    assert float(optimizer.state[layer.bias]["step"]) == counter
    assert not torch.equal(after != 0, before != 0)


def test_optimizer_without_the_weights_is_refused() -> None:
    module = network()
    optimizer = torch.optim.Adam(module.parameters())
    controller = sparsify(module)
    with pytest.raises(ValueError, match="does not hold the weight of layer '0'"):
        controller.attach(optimizer)


def test_sparsify_takes_an_existing_optimizer() -> None:
    module = network(torch.float32)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    controller = sparsify(module, sparsity=0.5, optimizer=optimizer, topology_kwargs={"update_interval": 1}, seed=1)
    x, y = data(torch.float32, 0)
    before = {n: layer.topology.edges for n, layer in controller.layers.items()}
    ((module(x) - y) ** 2).mean().backward()
    optimizer.step()
    assert controller.steps == 1
    assert any(layer.topology.edges is not before[n] for n, layer in controller.layers.items())


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
])  # fmt: skip
def test_moments_of_any_optimizer_follow(make: object) -> None:
    module = network(torch.float32)
    controller = sparsify(module, sparsity=0.6, topology_kwargs={"update_interval": 3, "drop_fraction": 0.5}, seed=2)
    optimizer = make(module.parameters())  # type: ignore[operator]
    controller.attach(optimizer)
    snapshots = {}
    for step in range(1, 4):
        x, y = data(torch.float32, step)
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        if step == 3:  # before the step that rewires: a listener sees edges and moments right after
            controller.listeners.append(lambda name, layer, rewire: snapshots.update({name: rewire}))
        optimizer.step()
    assert snapshots
    for name, rewire in snapshots.items():
        layer = controller.layers[name]
        state = [v for v in optimizer.state[layer.weight].values() if torch.is_tensor(v) and v.ndim == 1]
        assert state
        for value in state:
            assert value.shape == layer.weight.shape
            assert (value[rewire.source < 0] == 0).all()
            assert (value[rewire.source >= 0] != 0).any()


def test_state_saved_in_the_middle_gives_the_same_future() -> None:
    def run(module: nn.Sequential, optimizer: torch.optim.Adam, begin: int, end: int) -> None:
        for step in range(begin, end):
            x, y = data(torch.float32, step)
            optimizer.zero_grad()
            ((module(x) - y) ** 2).mean().backward()
            optimizer.step()

    module, controller, optimizer = sparse(torch.float32, "set", update_interval=3, drop_fraction=0.3)
    run(module, optimizer, 0, 10)
    saved = copy.deepcopy((module.state_dict(), controller.state_dict(), optimizer.state_dict()))
    run(module, optimizer, 10, 20)
    other, other_controller, other_optimizer = sparse(torch.float32, "set", update_interval=3, drop_fraction=0.3)
    other.load_state_dict(saved[0])
    other_controller.load_state_dict(saved[1])
    other_optimizer.load_state_dict(saved[2])
    run(other, other_optimizer, 10, 20)
    for key, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_deepcopy_listens_to_its_own_optimizer() -> None:
    module, controller, optimizer = sparse(torch.float32, "set", update_interval=1, drop_fraction=0.3)
    twin, twin_controller, twin_optimizer = copy.deepcopy((module, controller, optimizer))
    x, y = data(torch.float32, 0)
    ((twin(x) - y) ** 2).mean().backward()
    twin_optimizer.step()
    assert (controller.steps, twin_controller.steps) == (0, 1)
    assert not twin.state_dict()["0.topology.col"].equal(module.state_dict()["0.topology.col"])


def test_a_dynamic_rule_needs_a_schedule_and_a_static_one_ignores_it() -> None:
    layer = SparseLinear(4, 4, sparsity=0.5)
    with pytest.raises(ValueError, match="needs a schedule"):
        TopologyController({"l": layer}, SET(), None, seed=0)
    assert TopologyController({"l": layer}, Static(), Schedule(1, 0.5), seed=0).schedule is None


def test_twins_get_topologies_of_their_own_and_a_seed_repeats_them() -> None:
    def twins() -> list[SparseLinear]:
        torch.manual_seed(3)
        modules = [network(seed=3), network(seed=3)]
        torch.manual_seed(4)
        for module in modules:
            sparsify(module)
        return [sparse_layers(module)["0"] for module in modules]

    first, second = twins()
    assert not first.topology.edges.same_as(second.topology.edges)
    assert first.topology.edges.same_as(twins()[0].topology.edges)
    module = network(seed=3)
    state = torch.get_rng_state()
    sparsify(module, seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_gradients_that_are_not_finite_are_named() -> None:
    module = network(seed=3)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    timing = {"update_interval": 1, "schedule": "constant"}
    sparsify(module, topology="rigl", topology_kwargs=timing, optimizer=optimizer)
    (module(torch.ones(2, module[0].in_features, dtype=torch.float64)).sum() * torch.inf).backward()
    with pytest.raises(ValueError, match="'0' has gradients that are not finite"):
        optimizer.step()
