"""A small network on a CUDA device, all of it in one launch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sparse_agents.ops.cuda.chains import Chains, Flow
from sparse_agents.ops.cuda.network import CudaNetwork, Tiles


class SmallNetwork(CudaNetwork):
    """One launch forward; one backward, and one for what blocks add up."""

    blocks = False

    def forward(
        self, x: Tensor, batch: int, weights: Sequence[Tensor], biases: Sequence[Tensor | None],
        workspace: Tiles | None, y: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        y = self._output(batch, y)
        kept = None if workspace is None else workspace.tensor
        Chains([Flow(self, weights, biases, x, y, workspace=kept)], batch).forward()
        return y

    def backward(
        self, batch: int, workspace: Tiles, weights: Sequence[Tensor], grad_output: Tensor, grad_input: Tensor | None,
        grad_weights: Sequence[Tensor | None], grad_biases: Sequence[Tensor | None],
        grad_workspace: Tiles | None = None,
    ) -> None:  # fmt: skip
        flow = Flow(
            self,
            weights,
            grad_y=grad_output,
            grad_x=grad_input,
            grad_weights=grad_weights,
            grad_biases=grad_biases,
            workspace=workspace.tensor,
            gradients=None if grad_workspace is None else grad_workspace.tensor,
        )
        Chains([flow], batch).backward()
