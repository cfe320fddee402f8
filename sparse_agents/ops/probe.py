"""The dense gradient of a sparse layer, without ever storing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sparse_agents.errors import ConfigurationError

TILE_ELEMENTS = 1 << 20
"""Of a tile that is read while it is in the processor's cache."""
TILE_ELEMENTS_OF_DEVICES = 1 << 24
"""There every tile costs launches, and there is memory for it."""


class Pair(NamedTuple):
    """What one backward says of a layer."""

    x: Tensor  # [in_features, samples]
    grad: Tensor  # [out_features, samples], of the output before the activation
    y: Tensor  # [out_features, samples], after it

    @property
    def shape(self) -> tuple[int, int]:
        return self.grad.shape[0], self.x.shape[0]

    @property
    def device(self) -> torch.device:
        return self.grad.device

    def rows(self, first: int, last: int) -> Tensor:
        """Of the dense gradient."""
        return self.grad[first:last] @ self.x.t()


class DenseGrad(NamedTuple):
    """What one backward says of a layer whose weights were laid out as a matrix anyway."""

    matrix: Tensor  # [out_features, in_features]

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def device(self) -> torch.device:
        return self.matrix.device

    def rows(self, first: int, last: int) -> Tensor:
        return self.matrix[first:last].clone()


Caught = Pair | DenseGrad


class GradientProbe:
    """Catches a layer's inputs and output gradients while armed.

    The pairs live exactly as long as the weight's ``.grad``: a backward that adds to ``.grad`` adds
    pairs, the first one after ``zero_grad`` starts anew. So at the optimizer's step they multiply out
    to the gradient the layer would have if it were dense, also when another loss sends gradients
    through the layer between steps (TD3's and SAC's actor loss does, through the critic).
    """

    def __init__(self) -> None:
        self.armed = False
        self._pairs: list[Caught] = []
        self._pending: list[tuple[int, Caught]] = []
        self._fresh = True
        self._version = -1
        self._weight: Tensor | None = None
        self._handle: torch.utils.hooks.RemovableHandle | None = None

    def arm(self, weight: Tensor) -> None:
        """Catch from the next backward on."""
        self.disarm()
        self.armed, self._weight = True, weight
        self._handle = weight.register_post_accumulate_grad_hook(self._accumulated)

    def disarm(self) -> None:
        self.armed = False
        self._pairs.clear()
        self._pending.clear()
        if self._handle is not None:
            self._handle.remove()
            self._handle = self._weight = None

    def record(self, pair: Caught) -> None:
        """From within a backward, while armed."""
        weight = self._weight
        assert weight is not None
        zeroed = weight.grad is not None and weight.grad._version != self._version and not bool(weight.grad.any())
        self._fresh = weight.grad is None or zeroed
        self._pending.append((torch._C._current_graph_task_id(), pair))

    def _accumulated(self, weight: Tensor) -> None:
        """A backward has added to ``.grad``: its pairs count. Those of one that only returned gradients do not."""
        backward = torch._C._current_graph_task_id()
        if self._fresh:
            self._pairs.clear()
        self._pairs += [pair for task, pair in self._pending if task == backward]
        self._pending.clear()
        assert weight.grad is not None
        self._version = weight.grad._version

    @property
    def pairs(self) -> list[Caught]:
        return self._pairs

    def activations(self) -> tuple[Tensor, Tensor]:
        """Of the inputs, ``[in_features, samples]``, and the outputs, ``[out_features, samples]``.

        Outputs with the activation that was computed in one operation with the layer.
        """
        pairs = [pair for pair in self._pairs if isinstance(pair, Pair)]
        if len(pairs) < len(self._pairs):
            raise ConfigurationError(
                "This rule compares the activations of units, and a convolution shares its weights among many. Leave "
                "convolutions dense with `exclude`, or choose another rule."
            )
        return torch.cat([pair.x for pair in pairs], 1), torch.cat([pair.y for pair in pairs], 1)

    def tiles(self, multiple: int = 1) -> Iterator[tuple[int, Tensor]]:
        """The dense gradient in blocks of whole rows: ``(first row, [rows, in_features])``.

        Args:
            multiple: every block but the last has a multiple of so many rows.
        """
        if not self._pairs:
            raise ConfigurationError(
                "No dense gradient was caught. A rule that reads it says `needs_dense_gradient = True`."
            )
        rows, cols = self._pairs[0].shape
        elements = TILE_ELEMENTS if self._pairs[0].device.type == "cpu" else TILE_ELEMENTS_OF_DEVICES
        step = max(1, elements // (cols * multiple)) * multiple
        for first in range(0, rows, step):
            block = torch.zeros(0)
            for index, pair in enumerate(self._pairs):
                part = pair.rows(first, min(first + step, rows))
                block = part if index == 0 else block + part
            yield first, block

    def __getstate__(self) -> dict[str, object]:
        return {}

    def __setstate__(self, state: dict[str, object]) -> None:
        GradientProbe.__init__(self)
