"""What all sparse layers have in common: weights by connection, and the topology they belong to."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.nn.deferred import draw_weights, is_deferred
from sparse_agents.ops import STALE_GRAPH, DenseGrad, GradientProbe
from sparse_agents.topology import Edges, Topology


class SparseLayer(nn.Module):
    """A layer whose weights are the connections of a bipartite graph, from inputs (columns) to outputs (rows).

    Args:
        topology: the graph, possibly shared with another layer (a target network's).
        bias: whether to add a bias (always dense).

    Attributes:
        weight: ``[nnz]``, in the slot order of ``topology.edges``.
        bias: ``[rows]`` or None.
        probe: the dense gradient, for rules that need it.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, topology: Topology, bias: bool, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.topology = topology
        self.probe = GradientProbe()
        self.weight = nn.Parameter(torch.empty(topology.nnz, dtype=dtype))
        self.register_parameter("bias", nn.Parameter(torch.empty(topology.shape[0], dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The dense layer's initialisation, with the mean fan-in in place of the number of inputs."""
        bound = math.sqrt(self.topology.shape[0] / max(self.topology.nnz, 1))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def to_dense(self) -> nn.Linear | nn.Conv2d:
        """torch's own layer, computing the same function, zeros stored."""
        raise NotImplementedError

    @property
    def sparsity(self) -> float:
        return 1 - self.topology.edges.density

    def matrix(self) -> Tensor:
        """``[rows, columns]`` as the layer computes with it; gradients reach stored connections that rest, too."""
        active = self.topology.edges.active
        used = self.weight if active is None else self.weight - (self.weight * ~active).detach()
        return self.topology.edges.dense(used)

    def watched_matrix(self) -> Tensor:
        """:meth:`matrix`, for a forward: its backward tells the probe, and refuses connections that are gone."""
        matrix, edges = self.matrix(), self.topology.edges
        if matrix.requires_grad:

            def seen(grad: Tensor) -> None:
                if self.topology.edges is not edges:
                    raise RuntimeError(STALE_GRAPH)
                if self.probe.armed:
                    self.probe.record(DenseGrad(grad.detach()))

            matrix.register_hook(seen)
        return matrix

    def take(self, dense: nn.Linear | nn.Conv2d, scale: float) -> None:
        """The values of a dense layer, weights multiplied by ``scale``."""
        with torch.no_grad():
            if is_deferred(dense):
                draw_weights(self.weight, self.topology.shape[1])
                self.weight.mul_(scale)
            else:
                self.to(dense.weight.device)
                self.weight.copy_(dense.weight.reshape(-1)[self.topology.edges.ids] * scale)
            if dense.bias is not None and self.bias is not None:
                self.bias.copy_(dense.bias)
        keep_frozen(dense, self)
        self.train(dense.training)

    def give(self, dense: nn.Linear | nn.Conv2d) -> None:
        """Its values to a dense layer."""
        with torch.no_grad():
            dense.weight.copy_(self.matrix().view(dense.weight.shape))
            if self.bias is not None and dense.bias is not None:
                dense.bias.copy_(self.bias)
        keep_frozen(self, dense)
        dense.train(self.training)

    def replace_weight(self, values: Tensor) -> None:
        """Other values in the same parameter, of another number where the topology has changed. Drops ``.grad``.

        While somebody holds a graph, autograd remembers the shape it has seen, and refuses gradients of another; a
        change of type makes it forget.
        """
        self.weight.grad = None
        if values.shape != self.weight.shape:
            other = torch.float32 if values.dtype == torch.float64 else torch.float64
            self.weight.data = values.new_empty(0, dtype=other)
        self.weight.data = values

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        weight = state_dict.get(prefix + "weight")
        if weight is not None:
            self._check_state(state_dict, prefix, weight)
            if weight.shape != self.weight.shape:  # another number of connections
                self.replace_weight(self.weight.data.new_empty(weight.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _check_state(self, state_dict: dict[str, Any], prefix: str, weight: Tensor) -> None:
        """Before anything is changed, so that a refused state leaves the layer as it was.

        Raises:
            CheckpointError: naming the layer.
        """
        row_ptr, col = (state_dict.get(f"{prefix}topology.{name}") for name in ("row_ptr", "col"))
        if row_ptr is None or col is None:
            if weight.ndim > 1:
                raise CheckpointError(
                    f"{prefix}weight is of a dense network, of shape {tuple(weight.shape)}. Load it into the "
                    "dense policy it was saved with; sparsify_agent() makes a trained agent sparse."
                )
            return  # torch reports what is missing
        Edges.checked(self.topology.shape, row_ptr, col, f"{prefix}topology")
        if weight.shape != col.shape:
            raise CheckpointError(
                f"{prefix}weight has {tuple(weight.shape)} values for {len(col)} connections: "
                "the checkpoint is damaged."
            )


def check_shape(topology: Topology, shape: tuple[int, int]) -> Topology:
    if topology.shape != shape:
        raise ConfigurationError(f"A layer of shape {shape} cannot use a topology of shape {topology.shape}.")
    return topology


def keep_frozen(source: nn.Module, target: nn.Module) -> None:
    for name, parameter in source.named_parameters(recurse=False):
        target.get_parameter(name).requires_grad_(parameter.requires_grad)
