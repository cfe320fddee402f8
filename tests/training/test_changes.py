"""Whatever is changed between two updates, the native step does what Stable-Baselines3 does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from twins import agents, difference, train_both


def _hook_on_a_network(model: Any) -> None:
    model.critic.qf0.register_forward_hook(lambda module, x, y: 2 * y)


def _hook_on_a_gradient(model: Any) -> None:
    model.actor.mu[0].weight.register_hook(lambda grad: 0 * grad)


def _freeze(model: Any) -> None:
    model.critic.qf0[0].weight.requires_grad_(False)


def _other_rewards(model: Any) -> None:
    model.replay_buffer.rewards = model.replay_buffer.rewards * 10


def _new_moments(model: Any) -> None:
    for state in model.critic.optimizer.state.values():
        state["exp_avg"] = torch.zeros_like(state["exp_avg"])


def _fresh_optimizer(model: Any) -> None:
    model.critic.optimizer.state.clear()


def _maximize(model: Any) -> None:
    model.actor.optimizer.param_groups[0]["maximize"] = True


def _moments_that_come_where_others_went(model: Any) -> None:
    for parameter, state in model.critic.optimizer.state.items():
        state["exp_avg"] = None
        state["exp_avg"] = torch.zeros_like(parameter)


def _moments_elsewhere(model: Any) -> None:
    for state in model.critic.optimizer.state.values():
        state["exp_avg"].data = torch.zeros_like(state["exp_avg"])


def _steps_from_the_beginning(model: Any) -> None:
    for state in model.critic.optimizer.state.values():
        state["step"] = torch.zeros_like(state["step"])


def _another_activation(model: Any) -> None:
    model.actor.mu[1] = torch.nn.Tanh()


def _another_bias(model: Any) -> None:
    layer = model.critic_target.qf0[0]
    layer.bias = torch.nn.Parameter(layer.bias.detach() + 1)


def _hook_on_an_accumulated_gradient(model: Any) -> None:
    def clip(parameter: torch.Tensor) -> None:
        parameter.grad.clamp_(-1e-3, 1e-3)

    model.critic.qf0[0].weight.register_post_accumulate_grad_hook(clip)


def _hook_on_a_step(model: Any) -> None:
    weight = model.critic.qf0[0].weight
    model.critic.optimizer.register_step_post_hook(lambda *_: weight.data.clamp_(-0.05, 0.05))


def _another_optimizer_with_a_hook(model: Any) -> None:
    model.critic.optimizer = torch.optim.Adam(model.critic.parameters(), lr=1e-3)
    _hook_on_a_step(model)


def _observations_column_by_column(model: Any) -> None:
    buffer = model.replay_buffer
    buffer.observations = np.asfortranarray(buffer.observations)


def _observations_among_others(model: Any) -> None:
    buffer = model.replay_buffer
    wider = np.zeros((*buffer.observations.shape[:2], 2 * buffer.observations.shape[2]), buffer.observations.dtype)
    wider[..., ::2] = buffer.observations
    buffer.observations = wider[..., ::2]


def _a_target_in_pieces(model: Any) -> None:
    weight = model.critic_target.qf0[0].weight
    weight.data = torch.stack([weight.data, weight.data], 1)[:, 0]


CHANGES = [
    _hook_on_a_network, _hook_on_a_gradient, _freeze, _other_rewards, _new_moments, _fresh_optimizer, _maximize,
    _moments_that_come_where_others_went, _moments_elsewhere, _steps_from_the_beginning, _another_activation,
    _another_bias, _hook_on_an_accumulated_gradient, _hook_on_a_step, _another_optimizer_with_a_hook,
    _observations_column_by_column, _observations_among_others, _a_target_in_pieces,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_whatever_is_changed_is_noticed(change: Any, when: str, any_extractor: None) -> None:
    native, plain = agents(double=True, policy={"topology": "static"})
    if when == "in the middle":
        train_both(native, plain, 6)
        assert native._compiled.step is not None
    for model in (native, plain):
        change(model)
    train_both(native, plain, 6)
    assert difference(native, plain) < 1e-10
