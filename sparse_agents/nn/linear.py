"""A linear layer that stores and computes only its connections."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_agents.nn.layer import SparseLayer, check_shape
from sparse_agents.ops import Chain, key_of, run_chain
from sparse_agents.topology import Budget, Topology, allocate, random_edges


class SparseLinear(SparseLayer):
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
        backend: how it computes, see :meth:`use`.
    """

    masked: Tensor

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
        shape = (out_features, in_features)
        if topology is None:
            nnz = allocate(Budget({"layer": shape}, sparsity), "uniform")["layer"]
            topology = Topology(random_edges(shape, nnz, generator or torch.default_generator))
        super().__init__(check_shape(topology, shape), bias, dtype)
        self.in_features, self.out_features = in_features, out_features
        self.backend = "csr"
        self.register_buffer("masked", torch.tensor(False))
        self._chain: Chain | None = None
        self._key = key_of(self)

    def use(self, backend: str) -> None:
        """Compute by connections (``"csr"``), or densely with a matrix that is filled in (``"masked"``)."""
        self.backend = backend
        self.masked.fill_(backend == "masked")

    @classmethod
    def from_dense(cls, linear: nn.Linear, topology: Topology, scale: float = 1.0) -> SparseLinear:
        """The given connections of a dense layer, their weights multiplied by ``scale``."""
        bias = linear.bias is not None
        with torch.random.fork_rng(devices=[]):  # its own initial values are overwritten
            layer = cls(linear.in_features, linear.out_features, bias, topology=topology, dtype=linear.weight.dtype)
        layer.take(linear, scale)
        return layer

    def to_dense(self) -> nn.Linear:
        """An ``nn.Linear`` that computes the same function, zeros stored."""
        linear: nn.Linear = nn.utils.skip_init(
            nn.Linear,
            self.in_features,
            self.out_features,
            self.bias is not None,
            device=self.weight.device,
            dtype=self.weight.dtype,
        )
        self.give(linear)
        return linear

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in_features]`` -> ``[..., out_features]``."""
        if self.backend == "masked":
            return F.linear(x, self.watched_matrix(), self.bias)
        return self.by_connections(x)

    def by_connections(self, x: Tensor) -> Tensor:
        """The forward of the ``"csr"`` backend."""
        if x.ndim == 2:
            return run_chain(self, self._key, x, [self.weight], [self.bias])
        y = run_chain(self, self._key, x.reshape(-1, x.shape[-1]), [self.weight], [self.bias])
        return y.view(*x.shape[:-1], self.out_features)

    def chain(self) -> Chain:
        """Its structure now."""
        chain = self._chain
        if chain is None or not chain.current():
            shape = (self.out_features, self.in_features)
            chain = self._chain = Chain([self.topology], [shape], ["identity"], [self.probe])
        return chain

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.backend = "masked" if bool(self.masked) else "csr"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_chain": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._key = key_of(self)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
