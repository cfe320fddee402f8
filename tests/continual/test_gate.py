from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_agents.continual.gate import Gate

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_closed_stays_bit_by_bit_and_the_rest_moves_as_if_alone(name: str) -> None:
    """Momentum from before it was closed, and weight decay, would move it."""
    torch.manual_seed(0)
    mask = torch.rand(6, 3) < 0.5
    whole, bias = nn.Parameter(torch.randn(6, 3)), nn.Parameter(torch.randn(4))
    alone = nn.Parameter(whole.detach()[mask].clone())
    optimizer, other = OPTIMIZERS[name]([whole, bias]), OPTIMIZERS[name]([alone])

    def step() -> None:
        whole.grad, bias.grad = torch.randn(6, 3), torch.randn(4)
        alone.grad = whole.grad[mask]
        optimizer.step()
        other.step()

    for _ in range(3):
        step()
    gate = Gate(optimizer)
    gate.open = {whole: mask}
    before = whole.detach().clone()
    for _ in range(5):
        step()
    assert torch.equal(whole[~mask], before[~mask])
    assert torch.equal(whole[mask], alone)
    assert not torch.equal(whole[mask], before[mask])
    gate.remove()
    whole.grad = torch.ones(6, 3)
    optimizer.step()
    assert not torch.equal(whole[~mask], before[~mask])


def test_parameters_without_a_mask_or_a_gradient() -> None:
    first, second = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([first, second], lr=1.0)
    gate = Gate(optimizer)
    gate.open = {second: torch.tensor([True, False])}
    first.grad = torch.ones(3)
    optimizer.step()
    assert first.tolist() == [0, 0, 0]
    assert second.tolist() == [1, 1]
    assert gate.is_open(first).all()
    assert gate.is_open(second).tolist() == [True, False]
