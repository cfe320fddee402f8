"""Handwritten digits by a small network: scikit-learn's 1797 images of 8 by 8."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sparse_agents.continual.supervised.digits import digits
from sparse_agents.control import fresh_seed, sparsify
from sparse_agents.experiments.contenders import CONTENDERS

TEST_SHARE = 0.25
BATCH = 64
UNITS = (64, 256, 256, 10)


def digits_accuracy(contender: str, sparsity: float, seed: int, epochs: int = 100) -> dict[str, Any]:
    """Train 64-256-256-10 with Adam and return the accuracy on the test images.

    Args:
        contender: a name of ``CONTENDERS``; the topology is updated once per epoch.
        sparsity: of the network; ignored where it is dense.
        seed: of weights, topology and minibatches.
        epochs: passes over the training images.

    Returns:
        ``accuracy`` in percent, ``connections`` at the end.
    """
    torch.manual_seed(seed)
    chosen = CONTENDERS[contender]
    (x, y), (x_test, y_test) = digits(TEST_SHARE)
    module = nn.Sequential(
        nn.Linear(UNITS[0], UNITS[1]),
        nn.ReLU(),
        nn.Linear(UNITS[1], UNITS[2]),
        nn.ReLU(),
        nn.Linear(UNITS[2], UNITS[3]),
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    batches = len(x) // BATCH
    controller = None
    if chosen.topology is not None:
        controller = sparsify(
            module,
            sparsity=sparsity,
            topology=chosen.topology,
            topology_kwargs=chosen.topology_kwargs(batches, epochs * batches),
            optimizer=optimizer,
            seed=fresh_seed(),  # which leaves the minibatches those of the dense network
        )
    loss_of = nn.CrossEntropyLoss()
    for _ in range(epochs):
        for chunk in torch.randperm(len(x))[: batches * BATCH].split(BATCH):
            optimizer.zero_grad()
            loss_of(module(x[chunk]), y[chunk]).backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = float((module(x_test).argmax(1) == y_test).double().mean()) * 100
    connections = sum(p.numel() for n, p in module.named_parameters() if n.endswith("weight"))
    return {"accuracy": accuracy, "connections": connections if controller is None else controller.connections}
