"""Every rule in training, against dense matrices with masks in float64: the same edges and weights, to 1e-9."""

from __future__ import annotations

from typing import Any

import dense_rules as dense
import pytest
import torch
from dense_network import Dense, Update
from training_run import Run

from sparse_agents.rules import RULES

STEPS = 24
REPLACE_STEP = {"magnitude", "snip", "grasp", "synflow", "rigl", "rlx2"}
"""Whose update takes the place of the optimizer's step."""
UPDATES: dict[str, Update] = {
    name: getattr(dense, "set_" if name == "set" else name) for name in RULES if name not in ("static", "rlx2")
} | {"rlx2": dense.rigl, "static": lambda net: None}
EVERY_STEP: dict[str, tuple[Update | None, Update | None]] = {
    "snfs": (dense.snfs_step, None),
    "topkast": (dense.topkast_step, None),
    "deepr": (dense.deepr_born, dense.deepr_step),
}
VARIANTS: dict[str, tuple[str, dict[str, Any], Update]] = {
    "magnitude, global": ("magnitude", {"scope": "global"}, dense.magnitude_global),
    "set, whatever the sign": ("set", {"by_sign": False}, dense.set_by_size),
    "mest, soft": ("mest", {"soft": True}, lambda net: dense.mest(net, soft=True)),
    "ctre, seq": ("ctre", {"variant": "seq"}, lambda net: dense.ctre(net, variant="seq")),
    "nm, m = 4": ("nm", {"m": 4}, lambda net: dense.nm(net, m=4)),
    "synflow, 7 rounds": ("synflow", {"rounds": 7}, lambda net: dense.synflow(net, rounds=7)),
    "cht, ch2-l3n": ("cht", {"predictor": "ch2-l3n"}, lambda net: dense.cht(net, by_nodes=True)),
    "srigl, ablating": ("srigl", {"ablation": 0.9}, lambda net: dense.srigl(net, gamma=0.9)),
    "deepr, wild": ("deepr", {"l1": 0.05, "noise": 0.01, "update_interval": 1}, dense.deepr),
}


def simulation(run: Run) -> Dense:
    layers = list(run.layers.values())
    edges = [layer.topology.edges for layer in layers]
    generator = torch.Generator()
    generator.set_state(run.controller.generator.get_state())
    net = Dense(
        weights=[e.dense(layer.weight.detach()) for e, layer in zip(edges, layers, strict=True)],
        biases=[layer.bias.detach().clone() for layer in layers],  # type: ignore[union-attr]
        masks=[e.mask() for e in edges],
        budgets=list(run.controller.budgets.values()),
        generator=generator,
    )
    if any(e.active is not None for e in edges):
        net.active = [e.mask() if e.active is None else e.dense(e.active) for e in edges]
    net.memory["sign"] = [torch.where(w < 0, -1.0, 1.0).double() for w in net.weights]
    return net


def assert_equal(run: Run, net: Dense) -> None:
    for i, layer in enumerate(run.layers.values()):
        edges = layer.topology.edges
        assert torch.equal(edges.mask(), net.masks[i])
        weight = edges.dense(layer.weight.detach())
        assert (weight - net.weights[i] * net.masks[i]).abs().max() < 1e-9
        if edges.active is not None:
            assert net.active is not None
            assert torch.equal(edges.dense(edges.active), net.active[i])
        state = run.optimizer.state.get(layer.weight, {})
        if state:
            assert (edges.dense(state["exp_avg"]) - net.m[i]).abs().max() < 1e-9
            assert (edges.dense(state["exp_avg_sq"]) - net.v[i]).abs().max() < 1e-9
    biases = [layer.bias.detach() for layer in run.layers.values()]  # type: ignore[union-attr]
    assert all((a - b).abs().max() < 1e-9 for a, b in zip(biases, net.biases, strict=True))


def follow(run: Run, name: str, update: Update, step_rules: tuple[Update | None, Update | None]) -> None:
    net = simulation(run)
    assert_equal(run, net)
    schedule = run.controller.schedule
    for _ in range(STEPS):
        run.train(1)
        net.backward(*run.data())
        net.memory["activations"] = net.activations(net.used())
        before, after = step_rules
        if before is not None:
            before(net)
        due = schedule is not None and schedule.due(run.step)
        if due:
            assert schedule is not None
            moment = schedule.at(run.step)
            net.number, net.fraction, net.progress = moment.number, moment.fraction, moment.progress
        if due and name in REPLACE_STEP:
            update(net)
        else:
            net.adam()
            if after is not None:
                after(net)
            if due:
                update(net)
        assert_equal(run, net)


@pytest.mark.parametrize("sparsity", [0.6, 0.8])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_as_in_dense_training(rule: str, sparsity: float) -> None:
    follow(Run(rule, sparsity, widths=(16, 24, 16, 4)), rule, UPDATES[rule], EVERY_STEP.get(rule, (None, None)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_as_in_dense_training(variant: str) -> None:
    rule, options, update = VARIANTS[variant]
    steps = EVERY_STEP.get(rule, (None, None))
    if variant == "deepr, wild":
        steps = (dense.deepr_born, lambda net: dense.deepr_step(net, l1=0.05, noise=0.01))
    run = Run(rule, 0.8, options=options, widths=(16, 24, 16, 4))
    follow(run, rule, update, steps)
