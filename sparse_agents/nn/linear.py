"""A linear layer that stores and computes only its connections."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.errors import CheckpointError, ConfigurationError
from sparse_agents.ops import Chain, GradientProbe, apply_chain
from sparse_agents.topology import Budget, Edges, Topology, allocate, random_edges


class SparseLinear(nn.Module):
    """``y = W x + b`` with ``W`` given by its connections.

    Args:
        in_features: inputs.
        out_features: outputs.
        bias: whether to add a bias (always dense).
        sparsity: fraction of absent connections, in [0, 1); ignored when ``topology`` is given.
        topology: the graph, possibly shared with another layer (a target network's).
        generator: source of a random topology; torch's global one by default.

    Attributes:
        weight: ``[nnz]``, in the slot order of ``topology.edges``.
        bias: ``[out_features]`` or None.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        sparsity: float = 0.9,
        topology: Topology | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        shape = (out_features, in_features)
        if topology is None:
            nnz = allocate(Budget({"layer": shape}, sparsity), "uniform")["layer"]
            topology = Topology(random_edges(shape, nnz, generator or torch.default_generator))
        if topology.shape != shape:
            raise ConfigurationError(f"A layer of shape {shape} cannot use a topology of shape {topology.shape}.")
        self.in_features, self.out_features = in_features, out_features
        self.topology = topology
        self.probe = GradientProbe()
        self.weight = nn.Parameter(torch.empty(topology.nnz, dtype=dtype))
        self.register_parameter("bias", nn.Parameter(torch.empty(out_features, dtype=dtype)) if bias else None)
        self._chain: Chain | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """``nn.Linear``'s initialisation, with the mean fan-in in place of ``in_features``."""
        bound = math.sqrt(self.out_features / max(self.topology.nnz, 1))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    @classmethod
    def from_dense(cls, linear: nn.Linear, topology: Topology, scale: float = 1.0) -> SparseLinear:
        """The given connections of a dense layer, their weights multiplied by ``scale``."""
        with torch.random.fork_rng(devices=[]):  # its own initial values are overwritten
            layer = cls(
                linear.in_features,
                linear.out_features,
                linear.bias is not None,
                topology=topology,
                dtype=linear.weight.dtype,
            ).to(linear.weight.device)
        with torch.no_grad():
            layer.weight.copy_(linear.weight.reshape(-1)[topology.edges.ids] * scale)
            if linear.bias is not None and layer.bias is not None:
                layer.bias.copy_(linear.bias)
        _keep_frozen(linear, layer)
        return layer.train(linear.training)

    def to_dense(self) -> nn.Linear:
        """An ``nn.Linear`` that computes the same function, zeros stored."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None,
                           device=self.weight.device, dtype=self.weight.dtype)  # fmt: skip
        with torch.no_grad():
            active = self.topology.edges.active
            used = self.weight if active is None else self.weight * active
            linear.weight.copy_(self.topology.edges.dense(used))
            if self.bias is not None and linear.bias is not None:
                linear.bias.copy_(self.bias)
        _keep_frozen(self, linear)
        return linear.train(self.training)

    @property
    def sparsity(self) -> float:
        return 1 - self.topology.edges.density

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in_features]`` -> ``[..., out_features]``."""
        chain = self._chain
        if chain is None or not chain.current():
            shape = (self.out_features, self.in_features)
            chain = self._chain = Chain([self.topology], [shape], ["identity"], [self.probe])
        if x.ndim == 2:
            return apply_chain(chain, x, [self.weight], [self.bias])
        y = apply_chain(chain, x.reshape(-1, x.shape[-1]), [self.weight], [self.bias])
        return y.view(*x.shape[:-1], self.out_features)

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
            if weight.ndim == 2:
                raise CheckpointError(
                    f"{prefix}weight is of a dense network, a matrix of shape {tuple(weight.shape)}. Load it into the "
                    "dense policy it was saved with."
                )
            return  # torch reports what is missing
        Edges.checked(self.topology.shape, row_ptr, col, f"{prefix}topology")
        if weight.shape != col.shape:
            raise CheckpointError(
                f"{prefix}weight has {tuple(weight.shape)} values for {len(col)} connections: "
                "the checkpoint is damaged."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_chain": None}

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def _keep_frozen(source: nn.Module, target: nn.Module) -> None:
    for name, parameter in source.named_parameters(recurse=False):
        target.get_parameter(name).requires_grad_(parameter.requires_grad)
