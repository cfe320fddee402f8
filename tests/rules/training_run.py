"""A small network trained sparse on a small problem, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents import SparseLinear, sparsify
from sparse_agents.nn import sparse_layers

TIMING = {"update_interval": 3, "drop_fraction": 0.3, "schedule": "constant", "end": 21}


@dataclass
class Run:
    """A small regression problem, a network for it, and its controller."""

    rule: str
    sparsity: float = 0.75
    seed: int = 5
    dtype: torch.dtype = torch.float64
    optimizer_type: type[torch.optim.Optimizer] = torch.optim.Adam
    options: dict[str, Any] = field(default_factory=dict)
    widths: tuple[int, ...] = (16, 24, 16, 1)
    dense: tuple[str, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        modules: list[nn.Module] = []
        for n_in, n_out in pairwise(self.widths):
            modules += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.module = nn.Sequential(*modules[:-1]).to(self.dtype)
        self.controller = sparsify(
            self.module,
            sparsity=self.sparsity,
            topology=self.rule,
            topology_kwargs={**TIMING, **self.options},
            dense=self.dense,
            seed=self.seed,
        )
        self.module.to(self.device)
        self.optimizer = self.optimizer_type(self.module.parameters(), lr=0.01)  # type: ignore[call-arg]
        self.controller.attach(self.optimizer)
        self.step = 0

    @property
    def layers(self) -> dict[str, SparseLinear]:
        return sparse_layers(self.module)

    def data(self) -> tuple[Tensor, Tensor]:
        """Of this step."""
        generator = torch.Generator().manual_seed(self.step)
        x = torch.randn(32, self.widths[0], generator=generator, dtype=torch.float64).to(self.dtype)
        return x.to(self.device), (x[:, :1] * x[:, 1:2] + x[:, 2:3]).to(self.device)

    def backward(self) -> None:
        x, y = self.data()
        self.optimizer.zero_grad()
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
