"""What every registered rule has to do. A new rule is covered by being registered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse_agents import SparseLinear, Topology, sparsify
from sparse_agents.nn import sparse_layers
from sparse_agents.rules import RULES, make_rule
from sparse_agents.topology import Edges

TIMING = {"update_interval": 3, "drop_fraction": 0.3, "schedule": "constant", "end": 21}
STEPS = 24
ALL = sorted(RULES)
DYNAMIC = [name for name in ALL if make_rule(name).dynamic]


@dataclass
class Run:
    """A small regression problem, a network for it, and its controller."""

    rule: str
    sparsity: float = 0.75
    seed: int = 5
    dtype: torch.dtype = torch.float64
    optimizer_type: type[torch.optim.Optimizer] = torch.optim.Adam
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 1)
        ).to(self.dtype)  # fmt: skip
        self.controller = sparsify(
            self.module,
            sparsity=self.sparsity,
            topology=self.rule,
            topology_kwargs={**TIMING, **self.options},
            seed=self.seed,
        )
        self.optimizer = self.optimizer_type(self.module.parameters(), lr=0.01)  # type: ignore[call-arg]
        self.controller.attach(self.optimizer)
        self.step = 0

    @property
    def layers(self) -> dict[str, SparseLinear]:
        return sparse_layers(self.module)

    def backward(self) -> None:
        generator = torch.Generator().manual_seed(self.step)
        x = torch.randn(32, 16, generator=generator, dtype=torch.float64).to(self.dtype)
        self.optimizer.zero_grad()
        y = x[:, :1] * x[:, 1:2] + x[:, 2:3]
        ((self.module(x) - y) ** 2).mean().backward()

    def train(self, steps: int) -> Run:
        for _ in range(steps):
            self.step += 1
            self.backward()
            self.optimizer.step()
        return self

    def connections(self) -> int:
        return sum(layer.topology.nnz for layer in self.layers.values())

    def declared(self) -> int:
        """Connections the rule says there are now, after the last update that was due."""
        controller = self.controller
        if controller.schedule is None or self.step < controller.schedule.first:
            return sum(controller.starts.values())
        last = max(s for s in range(1, self.step + 1) if controller.schedule.due(s))
        return sum(
            controller.rule.wanted(view, controller.schedule.at(last))
            for view in map(controller.view, controller.layers)
        )

    def state(self) -> dict[str, Any]:
        parts = {"module": self.module, "controller": self.controller, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}


def assert_sound(topology: Topology) -> None:
    """A graph of this shape, sorted, without duplicates, the same by rows and by columns."""
    edges = Edges.checked(topology.shape, topology.row_ptr, topology.col, "layer")
    assert 1 <= edges.nnz <= edges.size
    by_column = edges.transpose
    assert torch.equal(edges.row[by_column.slot.long()], by_column.row.long())
    assert torch.equal(by_column.col_ptr.diff().long(), torch.bincount(edges.col, minlength=edges.shape[1]))


def assert_same(one: nn.Module, other: nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


@pytest.mark.parametrize("rule", ALL)
def test_connections_are_what_the_rule_declares_at_every_step(rule: str) -> None:
    run = Run(rule)
    assert run.connections() == sum(run.controller.starts.values())
    for _ in range(STEPS):
        run.train(1)
        assert run.connections() == run.declared()
        for layer in run.layers.values():
            assert_sound(layer.topology)
            assert layer.weight.shape == (layer.topology.nnz,)
            assert bool(torch.isfinite(layer.weight).all())


@pytest.mark.parametrize("rule", DYNAMIC)
def test_the_topology_moves_while_updates_are_due_and_then_rests(rule: str) -> None:
    run = Run(rule)
    before = [layer.topology.edges for layer in run.layers.values()]
    run.train(21)
    after = [layer.topology.edges for layer in run.layers.values()]
    assert not all(a.same_as(b) for a, b in zip(before, after, strict=True))
    run.train(3)
    assert all(e is layer.topology.edges for e, layer in zip(after, run.layers.values(), strict=True))


@pytest.mark.parametrize("rule", DYNAMIC)
def test_survivors_keep_weight_and_moments_and_new_connections_have_none(rule: str) -> None:
    run = Run(rule)
    due = [step for step in range(1, STEPS) if run.controller.schedule.due(step)]  # type: ignore[union-attr]
    step = due[:3][-1]
    run.train(step - 1)
    run.step = step
    run.backward()
    controller, optimizer = run.controller, run.optimizer
    before = {
        name: (layer.topology.edges, layer.weight.detach().clone(), dict(optimizer.state.get(layer.weight, {})))
        for name, layer in run.layers.items()
    }
    fresh: dict[str, Tensor] = {}
    controller.listeners.append(lambda name, layer, rewire: fresh.update({name: rewire.source < 0}))
    controller.rewire(step)
    assert fresh
    for name, new in fresh.items():
        layer, (edges, weight, state) = run.layers[name], before[name]
        now = layer.topology.edges
        assert bool((new | torch.isin(now.ids, edges.ids)).all()), "a connection that was not there is not new"
        assert torch.equal(layer.weight.detach()[~new], edges.dense(weight).view(-1)[now.ids][~new])
        for key in ("exp_avg", "exp_avg_sq"):
            if state:
                moment = optimizer.state[layer.weight][key]
                assert torch.equal(moment[~new], edges.dense(state[key]).view(-1)[now.ids][~new])
                assert not bool(moment[new].any())


@pytest.mark.parametrize("rule", ALL)
def test_a_seed_decides_everything(rule: str) -> None:
    assert_same(Run(rule).train(STEPS).module, Run(rule).train(STEPS).module)


@pytest.mark.parametrize("rule", ALL)
def test_stopping_and_resuming_changes_nothing(rule: str) -> None:
    whole = Run(rule).train(STEPS)
    for stop in (1, 7):
        first = Run(rule).train(stop)
        second = Run(rule)
        for part, state in first.state().items():
            getattr(second, part).load_state_dict(state)
        second.step = stop
        assert_same(second.train(STEPS - stop).module, whole.module)


@pytest.mark.parametrize("rule", ALL)
def test_a_dense_network_stays_dense(rule: str) -> None:
    run = Run(rule, sparsity=0.0).train(STEPS)
    assert [layer.topology.edges.density for layer in run.layers.values()] == [1.0] * 3


@pytest.mark.parametrize("rule", ALL)
def test_a_nearly_empty_layer_never_loses_its_last_connection(rule: str) -> None:
    run = Run(rule, sparsity=0.98).train(STEPS)
    for layer in run.layers.values():
        assert_sound(layer.topology)
    assert run.connections() == run.declared()


@pytest.mark.parametrize("rule", DYNAMIC)
def test_diverged_weights_are_named(rule: str) -> None:
    run = Run(rule)
    first = run.controller.schedule.first  # type: ignore[union-attr]
    run.train(first - 1).backward()
    with torch.no_grad():
        run.layers["2"].weight[3] = torch.nan
    with pytest.raises(ValueError, match="Layer '2' has weights that are not finite"):
        run.controller.rewire(first)
