"""An optimizer's own steps, with another learning rate than it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sparse_agents.control import LearningRateScale

KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "fused": lambda groups, lr: torch.optim.Adam(groups, lr, fused=True),
    "sgd": torch.optim.SGD,
}


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_an_optimizer_with_the_product(kind: str) -> None:
    ours, theirs = ([torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)] for _ in range(2))
    found = KINDS[kind](_groups(ours, 0.1), 0.1)
    expected = KINDS[kind](_groups(theirs, 0.3), 0.3)
    LearningRateScale(found, 3.0)
    for step in range(4):
        for optimizer, parameters, factor in ((found, ours, 1.0), (expected, theirs, 3.0)):
            if step == 2:  # as Stable-Baselines3 does before it trains
                for group in optimizer.param_groups:
                    group["lr"] = 0.01 * factor
            for parameter in parameters:
                parameter.grad = torch.arange(1.0, 1 + len(parameter)) - step
            optimizer.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)
    assert [group["lr"] for group in found.param_groups] == [0.01, 0.01]


def test_who_listens_sees_the_product() -> None:
    parameter = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    seen: list[float] = []
    optimizer.register_step_post_hook(lambda it, *_: seen.append(it.param_groups[0]["lr"]))
    LearningRateScale(optimizer, 4)
    parameter.grad = torch.ones(1)
    optimizer.step()
    assert seen == [2.0]
    assert parameter.item() == -1.0


def _groups(parameters: list[torch.Tensor], lr: float) -> list[dict[str, Any]]:
    return [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 2 * lr}]
