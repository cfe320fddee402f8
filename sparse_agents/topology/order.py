"""Sorting and selecting: by numpy in the CPU's memory, where it is vectorised and torch is not, elsewhere by torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

HOST = torch.device("cpu")


def places(mask: Tensor) -> Tensor:
    """Where a mask ``[n]`` is true: int64, sorted."""
    if _for_numpy(mask):
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero().squeeze(1)


def ascending(values: Tensor) -> Tensor:
    """Sorted along the last dimension; what is sorted already comes back as it is."""
    if _for_numpy(values):
        array = values.numpy()
        if (array[..., 1:] >= array[..., :-1]).all():  # a look costs a fiftieth of a sort
            return values
        return torch.from_numpy(np.sort(array, axis=-1))
    return values.sort().values


def insertion(ordered: Tensor, values: Tensor, right: bool = False) -> Tensor:
    """Where in ``ordered`` each value belongs: before those that are equal to it, or after them. int64."""
    if _for_numpy(ordered):
        return torch.from_numpy(np.searchsorted(ordered.numpy(), values.numpy(), side="right" if right else "left"))
    return torch.searchsorted(ordered, values, right=right)


def window(ordered: Tensor, first: int, last: int) -> tuple[int, int]:
    """Where in ``ordered`` the values of ``range(first, last)`` begin and end."""
    if _for_numpy(ordered):
        begin, end = np.searchsorted(ordered.numpy(), (first, last))
        return int(begin), int(end)
    return int(torch.searchsorted(ordered, first)), int(torch.searchsorted(ordered, last))


def kth_smallest(values: Tensor, k: int) -> Tensor:
    """Of ``[n]``, counted from 1; a scalar."""
    if _for_numpy(values):
        return torch.from_numpy(np.partition(values.numpy(), k - 1))[k - 1]
    return values.topk(k, largest=False, sorted=False).values.max()  # kthvalue has one block of a device do it


def by_value(distinct: Tensor) -> Tensor:
    """Indices that sort ``[n]``, no value being there twice."""
    if _for_numpy(distinct):
        return torch.from_numpy(np.argsort(distinct.numpy()))
    return distinct.argsort()


def _for_numpy(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16
