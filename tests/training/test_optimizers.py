"""Whatever the optimizers are and whoever listens to them, the native step does what Stable-Baselines3 does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from twins import REWIRING, agents, assert_native, difference, train_both

from sparse_agents import DSSAC, DSTD3
from sparse_agents.control import StepListener
from sparse_agents.training.optimizers import steps_natively


class Meddler(StepListener):
    """Clips gradients before each step and weights after it, and every so many steps moves these elsewhere."""

    def __init__(self, optimizer: torch.optim.Optimizer, every: int) -> None:
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self.every, self.steps = every, 0
        optimizer.register_step_pre_hook(self.before)
        optimizer.register_step_post_hook(self.after)

    @property
    def quiet(self) -> bool:
        return (self.steps + 1) % self.every > 0

    def before(self, *_: Any) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, 0.01)

    def after(self, *_: Any) -> None:
        moves = not self.quiet
        self.steps += 1
        for parameter in self.parameters:
            parameter.data.clamp_(-0.1, 0.1)
            if moves:
                parameter.data = parameter.data.clone()


def _listeners(model: Any) -> None:
    for network, every in ((model.critic, 5), (model.actor, 7)):
        Meddler(network.optimizer, every)


def _two_groups(model: Any) -> None:
    """Steps of another size and decay for some parameters."""
    for network in (model.actor, model.critic):
        (group,) = network.optimizer.param_groups
        chosen = group["params"][::2]
        group["params"] = group["params"][1::2]
        network.optimizer.add_param_group({"params": chosen, "weight_decay": 0.1, "betas": (0.5, 0.9)})


def _frozen(model: Any) -> None:
    model.critic.qf0[0].weight.requires_grad_(False)
    next(model.actor.parameters()).requires_grad_(False)


def _betas_in_tensors(model: Any) -> None:
    model.critic.optimizer.param_groups[0]["betas"] = (torch.tensor(0.9), torch.tensor(0.999))


def _another_kind(model: Any) -> None:
    for name, network in (("actor", model.actor), ("critic", model.critic)):
        network.optimizer = torch.optim.Adamax(network.parameters(), lr=1e-2)
        model.policy.topology_controllers[name].attach(network.optimizer)


@pytest.mark.parametrize("kind", [DSTD3, DSSAC])
@pytest.mark.parametrize(
    ("change", "natively"),
    [(_listeners, False), (_two_groups, True), (_frozen, True), (_betas_in_tensors, False), (_another_kind, False)],
)
def test_steps_are_as_ever(kind: Any, change: Callable[[Any], None], natively: bool, any_extractor: None) -> None:
    recipe = {"recipe": "robust"} if kind is DSSAC else {}
    native, plain = agents(kind, double=True, policy={"topology_kwargs": REWIRING}, **recipe)
    for model in (native, plain):
        change(model)
    train_both(native, plain, 40)
    train_both(native, plain, 40, per_call=8)
    assert_native(native)
    assert steps_natively(native.critic.optimizer) == natively
    assert difference(native, plain) < 1e-10


def test_a_hook_that_is_nobodys_may_do_anything() -> None:
    model, _ = agents()
    model.actor.optimizer.register_step_pre_hook(lambda *_: None)
    assert model.why_not_native() == "the step of the actor's optimizer has hooks"
