"""What every registered rule has to do. A new rule is covered by being registered."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from sb3_helpers import Noise, Still, fill
from sb3_helpers import train as gradient_steps
from stable_baselines3 import PPO, TD3
from torch import Tensor, nn
from training_run import Run

from sparse_agents import Topology, TopologyController
from sparse_agents.rules import RULES, make_rule
from sparse_agents.topology import Edges

STEPS = 24
ALL = sorted(RULES)
DYNAMIC = [name for name in ALL if make_rule(name).dynamic]


def assert_sound(topology: Topology) -> None:
    """A graph of this shape, sorted, without duplicates, the same by rows and by columns."""
    edges = Edges.checked(topology.shape, topology.row_ptr, topology.col, "layer")
    assert 1 <= edges.nnz <= edges.size
    by_column = edges.transpose
    assert torch.equal(edges.row[by_column.slot.long()], by_column.row.long())
    assert torch.equal(by_column.col_ptr.diff().long(), torch.bincount(edges.col, minlength=edges.shape[1]))


def assert_same(one: nn.Module, other: nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert_same_state(first, second, "")


def assert_same_state(first: Any, second: Any, where: str) -> None:
    """Tensors in nested dictionaries."""
    if isinstance(first, Tensor):
        assert torch.equal(first, second), where
        return
    assert first.keys() == second.keys(), where
    for key, value in first.items():
        assert_same_state(value, second[key], f"{where}.{key}")


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
        name: (
            layer.topology.edges,
            layer.weight.detach().clone(),
            copy.deepcopy(optimizer.state.get(layer.weight, {})),
        )
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


@pytest.mark.parametrize("rule", [rule for rule in ALL if rule != "nm"])  # which refuses less than one in m
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


def td3(rule: str, seed: int = 0) -> TD3:
    """Widths that groups of eight divide, and updates that end within sixteen steps of either optimizer."""
    timing = {"update_interval": 2, "drop_fraction": 0.3, "end": 16}
    kwargs = {"net_arch": [16, 16], "sparsity": 0.7, "topology": rule, "topology_kwargs": timing}
    model = TD3(
        "SparseMlpPolicy", Still(observations=16, actions=8), seed=seed, policy_kwargs=kwargs, buffer_size=1000
    )  # fmt: skip
    fill(model)
    return model


@pytest.mark.parametrize("rule", ALL)
def test_td3_trains_and_targets_follow(rule: str) -> None:
    model = td3(rule)
    gradient_steps(model, 40)
    policy = model.policy
    for controller in policy.topology_controllers.values():
        assert_declared(controller)
        for name, layer in controller.layers.items():
            (target,) = controller.followers[name]
            assert target.topology is layer.topology
            assert target.weight.shape == layer.weight.shape
            assert bool(torch.isfinite(target.weight).all())
    assert controller.steps == 40


@pytest.mark.parametrize("rule", ALL)
def test_td3_saved_and_loaded_goes_on_alike(rule: str, tmp_path: Path) -> None:
    model = td3(rule)
    gradient_steps(model, 7)
    model.save(tmp_path / "model")
    again = TD3.load(tmp_path / "model", env=model.env)
    fill(again)
    for one in (model, again):
        gradient_steps(one, 20, seed=3)
    assert_same(model.policy, again.policy)


@pytest.mark.parametrize("rule", ALL)
def test_ppo_trains(rule: str) -> None:
    timing = {"update_interval": 2, "drop_fraction": 0.3, "schedule": "constant", "end": 16}
    kwargs = {"net_arch": [16, 16], "sparsity": 0.7, "topology": rule, "topology_kwargs": timing}
    model = PPO("SparseMlpPolicy", Noise(observations=16, actions=8), n_steps=32, batch_size=8, n_epochs=4, seed=0,
                policy_kwargs=kwargs)  # fmt: skip
    controller = model.policy.topology_controllers["policy"]
    model.learn(64)
    assert controller.steps == 32
    assert_declared(controller)


def assert_declared(controller: TopologyController) -> None:
    """After the last update."""
    views = [controller.view(name) for name in controller.layers]
    wanted = sum(view.start for view in views)
    if controller.schedule is not None:
        done = controller.schedule.at(controller.steps)
        wanted = sum(controller.rule.wanted(view, done) for view in views)
    assert sum(view.edges.nnz for view in views) == wanted
    for layer in controller.layers.values():
        assert_sound(layer.topology)


BLOCKED = [name for name in ALL if make_rule(name).blocks]


@pytest.mark.parametrize("block", [4, [2, 4], "unit"], ids=str)
@pytest.mark.parametrize("rule", BLOCKED)
def test_blocks_come_and_go_as_a_whole(rule: str, block: Any) -> None:
    options = {"block_size": block}
    if block == "unit" and make_rule(rule).competes:
        with pytest.raises(ValueError, match="lets layers compete"):
            Run(rule, options=options)
        return
    run = Run(rule, options=options, widths=(16, 24, 16, 4), dense=("4",) if block == "unit" else ())
    for _ in range(STEPS):
        run.train(1)
        assert run.connections() == run.declared()
        for name, layer in run.layers.items():
            if run.controller.budgets[name] == layer.topology.edges.size:
                continue
            rows, cols = layer.topology.shape
            r, c = {"4": (4, 1), "[2, 4]": (2, 4), "unit": (1, cols)}[str(block)]
            sums = layer.topology.edges.mask().view(rows // r, r, cols // c, c).sum((1, 3))
            assert set(sums.flatten().tolist()) <= {0, r * c}


@pytest.mark.parametrize("rule", sorted(set(ALL) - set(BLOCKED)))
def test_rules_of_single_connections_refuse_blocks(rule: str) -> None:
    with pytest.raises(ValueError, match="judges single connections"):
        make_rule(rule, block_size=4)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(  # the last would leave less than half a connection in 8
    ("rule", "sparsity"), [(r, s) for r in ALL for s in (0.5, 0.9, 0.95) if (r, s) != ("nm", 0.95)]
)
def test_every_optimizer_type_and_sparsity(
    rule: str, dtype: torch.dtype, optimizer: type[torch.optim.Optimizer], sparsity: float
) -> None:
    """As above, and stopped and resumed at every step."""
    run = Run(rule, sparsity, dtype=dtype, optimizer_type=optimizer)
    for step in range(STEPS):
        state = copy.deepcopy(run.state())
        run = Run(rule, sparsity, dtype=dtype, optimizer_type=optimizer)
        for part, values in state.items():
            getattr(run, part).load_state_dict(values)
        run.step = step
        run.train(1)
        assert run.connections() == run.declared()
        for layer in run.layers.values():
            assert_sound(layer.topology)
    assert_same(run.module, Run(rule, sparsity, dtype=dtype, optimizer_type=optimizer).train(STEPS).module)
