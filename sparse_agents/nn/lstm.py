"""An LSTM made of linear layers, which can then be sparse ones."""

from __future__ import annotations

from typing import TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparse_agents.errors import ConfigurationError
from sparse_agents.nn.linear import SparseLinear

State = tuple[Tensor, Tensor]
MATRICES = ("ih", "hh")


class UnrolledLSTM(nn.Module):
    """Computes what an ``nn.LSTM`` does, with two linear layers for each of its layers.

    ``ih_l0`` takes the inputs of the first layer to the four gates, ``hh_l0`` its last outputs. The gates of a layer
    are rows of one matrix, ``[4 · hidden_size, inputs]``, so a rule drops the weakest of all gates together, and the
    gates come to have different numbers of connections: Liu, Mocanu, Pei, Pechenizkiy, "Selfish sparse RNN training",
    ICML 2021, section 3.2. The authors' code has these very layers.

    By connections it goes one step after the other. Where the layers' backend is ``"masked"``, sequences go through
    torch's own LSTM, whose steps are one call, with matrices that are filled in once; single steps, which are for
    acting, go by connections all the same.

    Args:
        lstm: whose parameters it takes over; see :func:`unrollable`.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = lstm.input_size, lstm.hidden_size, lstm.num_layers
        self.bias, self.batch_first, self.dropout = lstm.bias, lstm.batch_first, lstm.dropout
        for name in self.names():
            self.add_module(name, _linear(lstm, name))
        self.train(lstm.training)

    def names(self) -> list[str]:
        """Of its linear layers, in the order of the flow."""
        return [f"{matrix}_l{layer}" for layer in range(self.num_layers) for matrix in MATRICES]

    def rolled_up(self) -> nn.LSTM:
        """The ``nn.LSTM`` again, with the parameters of these layers, which all have to be dense."""
        lstm = nn.LSTM(
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bias,
            self.batch_first,
            self.dropout,
            device="meta",
        )
        for name in self.names():
            for kind, parameter in self.get_submodule(name).named_parameters():
                setattr(lstm, torch_name(f"{name}.{kind}"), parameter)
        return lstm.train(self.training)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """``[steps, batch, input_size]`` -> ``[steps, batch, hidden_size]``, and the last state ``(h, c)``.

        Each of these is ``[num_layers, batch, hidden_size]``. ``batch_first``, a missing batch and a missing state are
        as of ``nn.LSTM``.
        """
        if not isinstance(x, Tensor):
            raise ConfigurationError(f"A sparse LSTM takes a tensor, not a {type(x).__name__}.")
        batch_dim = 0 if self.batch_first else 1
        if x.ndim == 2:
            given = None if state is None else (state[0].unsqueeze(1), state[1].unsqueeze(1))
            y, (h, c) = self(x.unsqueeze(batch_dim), given)
            return y.squeeze(batch_dim), (h.squeeze(1), c.squeeze(1))
        if state is None:
            state = 2 * (x.new_zeros(self.num_layers, x.shape[batch_dim], self.hidden_size),)
        self._check(x, x.shape[batch_dim], state)
        if x.shape[1 - batch_dim] > 1 and all(layer.backend == "masked" for layer in self._sparse()):
            return self._at_once(x, state)
        if self.batch_first:
            y, state = self._steps(x.transpose(0, 1), state)
            return y.transpose(0, 1), state
        return self._steps(x, state)

    def _check(self, x: Tensor, batch: int, state: State) -> None:
        """``torch.lstm`` trusts its arguments, and writes beyond them."""
        expected = (self.num_layers, batch, self.hidden_size)
        if x.ndim != 3 or x.shape[2] != self.input_size or any(tuple(part.shape) != expected for part in state):
            raise ValueError(
                f"A sparse LSTM of {self.input_size} inputs got {tuple(x.shape)}, and states of "
                f"{[tuple(part.shape) for part in state]} where {expected} are expected."
            )

    def _sparse(self) -> list[SparseLinear]:
        return [layer for layer in self.children() if isinstance(layer, SparseLinear)]

    def _at_once(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Never compiled, for torch's LSTM for acting would be traced into training."""
        # Not a decorator: that takes two seconds of every import.
        whole = torch.compiler.disable(self._whole) if torch.compiler.is_compiling() else self._whole
        return whole(x, state)

    def _whole(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        weights: list[Tensor] = []
        for index in range(self.num_layers):
            layers = [self._matrix(matrix, index) for matrix in MATRICES]
            weights += [la.watched_matrix() if isinstance(la, SparseLinear) else la.weight for la in layers]
            weights += [la.bias for la in layers if la.bias is not None]
        options = (self.bias, self.num_layers, self.dropout, self.training, False, self.batch_first)
        y, h, c = torch.lstm(x, state, weights, *options)
        return y, (h, c)

    def _steps(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        last: list[State] = []
        for layer, (h, c) in enumerate(zip(*state, strict=True)):
            if layer > 0:
                x = F.dropout(x, self.dropout, self.training)
            x, end = self._layer(layer, x, h, c)
            last.append(end)
        hs, cs = zip(*last, strict=True)
        return x, (torch.stack(hs), torch.stack(cs))

    def _layer(self, layer: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, State]:
        of_inputs, of_outputs = (self._matrix(matrix, layer) for matrix in MATRICES)
        outputs = []
        for step in _product(of_inputs, x):
            i, f, g, o = (step + _product(of_outputs, h)).chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs), (h, c)

    def _matrix(self, kind: str, layer: int) -> SparseLinear | nn.Linear:
        return cast("SparseLinear | nn.Linear", self.get_submodule(f"{kind}_l{layer}"))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"


def _product(layer: SparseLinear | nn.Linear, x: Tensor) -> Tensor:
    return layer.by_connections(x) if isinstance(layer, SparseLinear) else cast(Tensor, layer(x))


def unrollable(module: nn.Module) -> TypeGuard[nn.LSTM]:
    """Exactly torch's own, in one direction and without projection, its matrices being parameters."""
    if type(module) is not nn.LSTM or module.bidirectional or module.proj_size > 0:
        return False
    return all(name in module._parameters for name in module._flat_weights_names)


def torch_name(name: str) -> str:
    """Of a parameter in ``nn.LSTM``, given its name in :class:`UnrolledLSTM`: ``weight_ih_l0`` for ``ih_l0.weight``."""
    layer, _, kind = name.rpartition(".")
    return f"{kind}_{layer}"


def _linear(lstm: nn.LSTM, name: str) -> nn.Linear:
    """One of its matrices, the parameters being the LSTM's own."""
    weight: nn.Parameter = getattr(lstm, f"weight_{name}")
    rows, columns = weight.shape
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, columns, rows, lstm.bias, dtype=weight.dtype)
    linear.weight = weight
    if lstm.bias:
        linear.bias = getattr(lstm, f"bias_{name}")
    return linear
