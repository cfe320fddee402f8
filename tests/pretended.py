"""Tensors that say they are on another device, and lie in the processor's memory. What mixes devices fails.

For code in torch's own operations. Kernels of this library want a device that is there, or the emulator.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")  # one that torch knows everywhere
TAKES_INDICES_OF_THE_HOST = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
COPIES = ("aten::copy_", "aten::_to_copy")


class Pretended(Tensor):
    """One of them.

    Attributes:
        held: what it stands for.
    """

    held: Tensor
    is_meta = False  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, real: Tensor) -> Any:
        lies = {}
        if real.layout == torch.strided:  # of others nothing is told
            lies = {"strides": real.stride(), "storage_offset": real.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, real.shape, dtype=real.dtype, device=DEVICE, **lies)
        made.held = real
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Pretended({self.held!r})"

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return Pretended(self.held)

    @data.setter
    def data(self, value: Pretended) -> None:
        torch._C.TensorBase.data.__set__(self, value)  # type: ignore[attr-defined]
        self.held = value.held

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert a tensor on {DEVICE} to numpy")

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it is on, tensors are made on :data:`DEVICE` where they are asked for there."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


@contextmanager
def drawing_as_the_processor() -> Iterator[None]:
    """A pretended device has no generator of its own."""
    modules = [m for n, m in sys.modules.items() if n.startswith("sparse_agents") and hasattr(m, "generator_on")]
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(mock.patch.object(module, "generator_on", lambda device, generator: generator))
        yield


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name, given = function._schema.name, [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    pretended = [one for one in given if isinstance(one, Pretended)]
    asked = kwargs.get("device")
    there = bool(pretended) if asked is None else torch.device(asked).type == DEVICE.type
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if pretended and name not in COPIES:
        others = [one for one in given if not isinstance(one, Pretended) and one.ndim > 0]
        if others and not (name in TAKES_INDICES_OF_THE_HOST and isinstance(args[0], Pretended)):
            raise RuntimeError(f"{name}: tensors on {DEVICE} and on the processor.")
    real_args, real_kwargs = tree_map_only(Pretended, lambda one: one.held, (args, kwargs))
    result = function(*real_args, **real_kwargs)
    written = {id(one.held): one for one in pretended}
    if not there:
        return result
    return tree_map_only(Tensor, lambda one: written[id(one)] if id(one) in written else Pretended(one), result)
