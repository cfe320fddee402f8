"""Networks as a training step runs them: what passes by connections and passes with dense matrices have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from sparse_agents.nn import SparseLinear, SparseSequential
from sparse_agents.nn.sequential import Stretch
from sparse_agents.ops.program import Copy, Mean, Step, TDError
from sparse_agents.topology import Edges


@dataclass(frozen=True)
class Layer:
    """A linear layer and what follows it, at one moment.

    Attributes:
        edges: every one there is, where it is dense.
        activation: a name of :data:`sparse_agents.ops.ACTIVATIONS`.
        weight: in slot order, which for a dense layer is its matrix.
        bias: None where there is none.
    """

    edges: Edges
    activation: str
    weight: Tensor
    bias: Tensor | None


class Network(ABC):
    """A chain of layers with its parameters and room for their gradients.

    Args:
        layers: in the order of the flow.
        gradients: whether they will be wanted.
    """

    def __init__(self, layers: Sequence[Layer], gradients: bool = False) -> None:
        self.layers = list(layers)
        self.dtype = self.layers[0].weight.dtype
        self.out_features = self.layers[-1].edges.shape[0]
        held = [p for layer in self.layers for p in (layer.weight, layer.bias) if p is not None]
        self.gradients = {p: _gradient(p) for p in held} if gradients else {}
        self.weights, self.biases = [layer.weight for layer in self.layers], [layer.bias for layer in self.layers]

    def gradients_of(self, parameters: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Where there is a parameter, the room for its gradient."""
        return [None if one is None else self.gradients[one] for one in parameters]

    def follow(self, layers: Sequence[Layer]) -> bool:
        """After somebody else's update of the same parameters: take over gradients, and connections where they are
        others.

        Returns:
            Whether it can; otherwise it takes another network.
        """
        if not self.connect([layer.edges for layer in layers]):
            return False
        for parameter, gradient in self.gradients.items():
            if parameter.grad is not None and parameter.grad is not gradient:
                gradient.copy_(parameter.grad)
            if parameter.requires_grad:
                parameter.grad = gradient
        self.layers = list(layers)
        return True

    def connect(self, edges: Sequence[Edges]) -> bool:
        """Whether there can be these connections, in the same shapes; here only those that there are."""
        return all(new is layer.edges for new, layer in zip(edges, self.layers, strict=True))

    @abstractmethod
    def workspace_size(self, batch: int) -> int:
        """Numbers that a backward needs of its forward."""

    @abstractmethod
    def new_pass(self, batch: int, room: Room | None = None) -> Pass:
        """``room``: where the forward leaves what the backward needs; None: no backward will follow."""

    def fit(self, x: Tensor, targets: Tensor, scale: float, loss: Tensor, room: Room) -> Sequence[Step]:
        """The parameters' gradients of ``scale`` times the mean squared error, which is added to ``loss``.

        Args:
            x: ``[batch, in_features]``, contiguous.
            targets: ``[batch]``, of the only output.
            scale: of the loss.
            loss: ``[1]``, float64.
            room: to be used on the way.
        """
        run = self.new_pass(len(x), room)
        grad = torch.empty_like(run.output)
        error: TDError = TDError.of(rows=len(x), scale=scale, q=run.output, target=targets, grad=grad, loss=loss)
        return [run.forward(x), error, run.backward(grad)]

    def ascend(
        self, critic: Network, observations: Tensor, transitions: Tensor, loss: Tensor, rooms: tuple[Room, Room]
    ) -> Sequence[Step]:
        """The gradients of an actor's parameters by minus the mean of what a critic says, which is added to ``loss``.

        The deterministic policy gradient (Silver et al. 2014, theorem 1).

        Args:
            critic: of whose parameters no gradients are wanted.
            observations: ``[batch, in_features]``, contiguous.
            transitions: ``[batch, in_features + out_features]``, which begin with these observations; the actions
                behind them may be overwritten.
            loss: ``[1]``, float64.
            rooms: to be used on the way.
        """
        batch, actions = len(observations), slice(observations.shape[1], None)
        judged, acting = critic.new_pass(batch, rooms[0]), self.new_pass(batch, rooms[1])
        grad, grad_transitions = torch.empty_like(judged.output), torch.empty_like(transitions)
        grad_actions = torch.empty_like(acting.output)
        mean: Mean = Mean.of(rows=batch, scale=-1.0, x=judged.output, grad=grad, mean=loss)
        return [
            acting.forward(observations),
            Copy.between(acting.output, transitions[:, actions]),
            judged.forward(transitions),
            mean,
            judged.backward(grad, grad_transitions, parameters=False),
            Copy.between(grad_transitions[:, actions], grad_actions),
            acting.backward(grad_actions),
        ]


class Ensemble:
    """Networks that are shown the same, one after the other.

    Args:
        networks: of one kind, as an agent's critics are.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = networks

    def new_pass(self, batch: int, rooms: Sequence[Room] | None = None) -> EnsemblePass:
        """``rooms``: one for each network, as for :meth:`Network.new_pass`."""
        given = [None] * len(self.networks) if rooms is None else rooms
        return EnsemblePass([one.new_pass(batch, room) for one, room in zip(self.networks, given, strict=True)])

    def fit(self, x: Tensor, targets: Tensor, scale: float, loss: Tensor, room: Room) -> Sequence[Step]:
        """See :meth:`Network.fit`; errors are summed over networks."""
        return [step for one in self.networks for step in one.fit(x, targets, scale, loss, room)]


class EnsemblePass:
    """One forward of several networks over the same batch, and the backward to it.

    Args:
        passes: one for each of them.
    """

    def __init__(self, passes: Sequence[Pass]) -> None:
        self._passes = passes
        self.outputs = [one.output for one in passes]

    def forward(self, x: Tensor) -> Sequence[Step]:
        """``x``: ``[batch, in_features]``, contiguous. Results will be in ``outputs``."""
        return [one.forward(x) for one in self._passes]

    def backward(self, grads: Sequence[Tensor], grads_x: Sequence[Tensor]) -> Sequence[Step]:
        """From gradients of the outputs to one of the input for each network; no parameter gets one."""
        given = zip(self._passes, grads, grads_x, strict=True)
        return [one.backward(grad, grad_x, parameters=False) for one, grad, grad_x in given]


def _gradient(parameter: Tensor) -> Tensor:
    """A parameter's own, so that there are not two."""
    if not parameter.requires_grad:
        return torch.empty_like(parameter)
    if parameter.grad is None or not parameter.grad.is_contiguous():
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


class Pass(ABC):
    """One forward of a network over a batch, and the backward that belongs to it.

    Attributes:
        output: of the forward, ``[batch, out_features]``.
    """

    output: Tensor

    @abstractmethod
    def forward(self, x: Tensor) -> Step:
        """``x``: ``[batch, in_features]``, contiguous. The result will be in ``output``."""

    @abstractmethod
    def backward(self, grad: Tensor, grad_x: Tensor | None = None, parameters: bool = True) -> Step:
        """From the gradient of the output to those of the parameters, or of the input, or both."""


class Room:
    """Memory that passes use one after the other: what fits into the cache together is fast.

    Args:
        networks: those that will use it.
        batch: samples.
    """

    def __init__(self, networks: Iterable[Network], batch: int) -> None:
        self._networks, self._batch = list(networks), batch

    @cached_property
    def _memory(self) -> Tensor:
        """Not before a pass asks: some bring their own."""
        size = max(network.workspace_size(self._batch) for network in self._networks)
        return torch.empty(size, dtype=self._networks[0].dtype)

    def of(self, network: Network, batch: int) -> Tensor:
        """A network's part of it."""
        return self._memory[: network.workspace_size(batch)]


def stretch_of(module: nn.Module) -> Stretch | None:
    """All of a network as one, or None where it is more than linear layers and activations, or has hooks."""
    return module.stretch() if isinstance(module, SparseSequential) else None


def layers_of(stretch: Stretch) -> list[Layer]:
    """As they are now."""
    chain = stretch.chain()
    return [
        Layer(edges, activation, layer.weight, layer.bias)
        for edges, activation, layer in zip(chain.edges, chain.activations, stretch.layers, strict=True)
    ]


def computes_densely(stretch: Stretch) -> bool:
    """Whether its backend is ``"masked"``: then all of it goes by dense matrices."""
    return any(isinstance(layer, SparseLinear) and layer.backend == "masked" for layer in stretch.layers)
