"""SAC's actor: two output layers, which are one layer here, and a squashed Gaussian behind it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.nn import SparseLinear
from sparse_agents.ops.program import Copy, Gaussian, Step
from sparse_agents.topology import Edges, full_edges
from sparse_agents.training.engine import Engine
from sparse_agents.training.networks import Layer, computes_densely, layers_of, stretch_of


class GaussianActor:
    """Hidden layers, then means above logarithms of standard deviations in one matrix of connections.

    Parameters of the two output layers are copied together before a pass; gradients lie apart as they are.

    Args:
        actor: Stable-Baselines3's, without state-dependent exploration.
        engine: that its passes are to run on.
    """

    def __init__(self, actor: nn.Module, engine: Engine) -> None:
        stretch = stretch_of(actor.get_submodule("latent_pi"))
        assert stretch is not None
        heads: list[Any] = [actor.get_submodule(name) for name in ("mu", "log_std")]
        weight, bias = (
            torch.cat([getattr(h, name).detach().reshape(-1) for h in heads]) for name in ("weight", "bias")
        )

        def layers() -> list[Layer]:
            return [*layers_of(stretch), Layer(_above(*map(_edges, heads)), "identity", weight, bias)]

        self.network = engine.network(layers, computes_densely(stretch), gradients=True)
        self.gradients = dict(self.network.gradients)
        self.collect: list[Step] = []
        for name, whole in (("weight", weight), ("bias", bias)):
            gradient = self.gradients.pop(whole)
            sizes = [getattr(head, name).numel() for head in heads]
            parts = zip(heads, whole.split(sizes), gradient.split(sizes), strict=True)
            for head, part, part_gradient in parts:
                parameter = getattr(head, name)
                self.gradients[parameter] = part_gradient
                self.collect.append(Copy.between(parameter.view(1, -1), part.view(1, -1)))


class Sample:
    """Actions drawn from an actor's outputs, with the logarithms of their probabilities.

    Args:
        parameters: ``[batch, 2 · actions]``.
    """

    def __init__(self, parameters: Tensor) -> None:
        self.parameters = parameters
        rows, columns = parameters.shape[0], parameters.shape[1] // 2
        self.noise, self.action = (torch.empty(rows, columns, dtype=parameters.dtype) for _ in range(2))
        self.log_prob = torch.empty(rows, dtype=parameters.dtype)

    def draw(self) -> None:
        """By torch's global generator."""
        self.noise.normal_()

    def gaussian(self) -> Gaussian:
        """From parameters and noise to actions."""
        rows, columns = self.action.shape
        operation: Gaussian = Gaussian.of(
            rows=rows,
            columns=columns,
            parameters=self.parameters,
            noise=self.noise,
            action=self.action,
            log_prob=self.log_prob,
        )
        return operation


def _edges(head: Any) -> Edges:
    if isinstance(head, SparseLinear):
        return head.topology.edges
    rows, columns = head.weight.shape
    return full_edges((rows, columns), head.weight.device)


def _above(first: Edges, second: Edges) -> Edges:
    """Rows of one matrix, then those of another."""
    row_ptr = torch.cat([first.row_ptr, second.row_ptr[1:] + first.row_ptr[-1]])
    return Edges((first.shape[0] + second.shape[0], first.shape[1]), row_ptr, torch.cat([first.col, second.col]))
