"""Chains as operations of torch's library, for graphs of ``torch.compile``; eager code has a shorter way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from sparse_agents.ops.chain import STALE_GRAPH, Chain, apply_chain, check, native_backward, resting_as_zero

T = TypeVar("T")


class Owner(Protocol):
    """Has a chain, which changes with its topologies."""

    def chain(self) -> Chain:
        """At the moment."""


_OWNERS: WeakValueDictionary[int, Owner] = WeakValueDictionary()
_KEYS = count()


def key_of(owner: Owner) -> int:
    """A number by which operations find it: graphs hold that, and outlast changes of the topology."""
    key = next(_KEYS)
    _OWNERS[key] = owner
    return key


def run_chain(owner: Owner, key: int, x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Tensor:
    """An owner's chain, see :func:`sparse_agents.ops.apply_chain`; ``key`` from :func:`key_of`."""
    if torch.compiler.is_compiling():
        present = [bias for bias in biases if bias is not None]
        y: Tensor = _forward(key, x, list(weights), present, [bias is not None for bias in biases])[0]
        return y
    return apply_chain(owner.chain(), x, weights, biases)


@torch.library.custom_op("sparse_agents::chain", mutates_args=())
def _forward(
    key: int, x: Tensor, weights: Sequence[Tensor], present: Sequence[Tensor], has_bias: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """The output, the workspace, and the number of the chain. ``present``: the biases that there are."""
    chain, biases = _OWNERS[key].chain(), _in_place(present, has_bias)
    check(chain, x, weights, biases)
    network, number = chain.native(x), torch.tensor([chain.number])
    if network is None:
        return apply_chain(chain, x, weights, biases).clone(), x.new_empty(0), number
    x, batch = x.contiguous(), len(x)
    workspace: Any = network.workspace(batch, x.new_empty(network.workspace_size(batch)))
    y = network.forward(x, batch, resting_as_zero(chain, weights), biases, workspace)
    assert y is not None
    return y, workspace.tensor, number


@_forward.register_fake
def _(
    key: int, x: Tensor, weights: Sequence[Tensor], present: Sequence[Tensor], has_bias: Sequence[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    chain = _OWNERS[key].chain()
    samples, numbers = (1, 0) if chain.serves(x) is None else chain.workspace_unit(x)
    workspace = x.new_empty(-(-x.shape[0] // samples) * numbers)
    return x.new_empty(x.shape[0], chain.edges[-1].shape[0]), workspace, torch.empty(1, dtype=torch.int64)


@torch.library.custom_op("sparse_agents::chain_backward", mutates_args=())
def _backward(
    key: int, number: Tensor, grad: Tensor, workspace: Tensor, x: Tensor, weights: Sequence[Tensor],
    present: Sequence[Tensor], has_bias: Sequence[bool], wanted: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    """The gradients that are wanted, of the input, the weights and the biases that there are."""
    chain, biases = _OWNERS[key].chain(), _in_place(present, has_bias)
    if chain.number != int(number):
        raise RuntimeError(STALE_GRAPH)
    network = chain.native(x)
    if network is None:
        return _by_reference(chain, grad, x, weights, present, has_bias, wanted)
    layers = 1 + len(weights)
    wanted_of_all = [*wanted[:layers], *(bool(want) for want in _in_place(wanted[layers:], has_bias))]
    parameters = [*resting_as_zero(chain, weights), *biases]
    held = network.workspace(len(x), workspace)
    found = native_backward(chain, network, held, wanted_of_all, grad.contiguous(), x.contiguous(), parameters)
    return [one for one in found if one is not None]


def _by_reference(
    chain: Chain, grad: Tensor, x: Tensor, weights: Sequence[Tensor], present: Sequence[Tensor],
    has_bias: Sequence[bool], wanted: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    """Of the same function, run once more."""
    of = [one.detach().requires_grad_(want) for one, want in zip((x, *weights, *present), wanted, strict=True)]
    layers = 1 + len(weights)
    with torch.enable_grad():
        y = apply_chain(chain, of[0], of[1:layers], _in_place(of[layers:], has_bias))
    return list(torch.autograd.grad(y, [one for one in of if one.requires_grad], grad, materialize_grads=True))


@_backward.register_fake
def _(
    key: int, number: Tensor, grad: Tensor, workspace: Tensor, x: Tensor, weights: Sequence[Tensor],
    present: Sequence[Tensor], has_bias: Sequence[bool], wanted: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    return [one.new_empty(one.shape) for one, want in zip((x, *weights, *present), wanted, strict=True) if want]


def _in_place(present: Sequence[T], has: Sequence[bool]) -> list[T | None]:
    """One for each, None where there is none."""
    rest = iter(present)
    return [next(rest) if one else None for one in has]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    key, x, weights, present, has_bias = inputs
    _, workspace, number = output
    ctx.key, ctx.layers, ctx.has_bias = key, len(weights), has_bias
    ctx.wanted = [one.requires_grad for one in (x, *weights, *present)]
    ctx.save_for_backward(number, workspace, x, *weights, *present)


def _gradients(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Any, ...]:
    number, workspace, x, *rest = ctx.saved_tensors
    weights, present = rest[: ctx.layers], rest[ctx.layers :]
    found = iter(_backward(ctx.key, number, grad, workspace, x, weights, present, ctx.has_bias, ctx.wanted))
    by_x, *by_parameter = [next(found) if want else None for want in ctx.wanted]
    return None, by_x, by_parameter[: ctx.layers], by_parameter[ctx.layers :], None


_forward.register_autograd(_gradients, setup_context=_remember)
