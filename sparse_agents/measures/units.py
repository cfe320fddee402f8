"""What hidden units say, summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

THRESHOLD = 0.025
DELTA = 0.01


@torch.no_grad()
def outputs_of(activations: Mapping[str, nn.Module], run: Callable[[], object]) -> dict[str, Tensor]:
    """What modules say in a forward pass, ``[samples, units]`` or ``[samples, channels, ...]``.

    Args:
        activations: the modules, by name.
        run: a forward pass through all of them.
    """
    found: dict[str, Tensor] = {}

    def look(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            found[name] = output

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in activations.items()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def dormant_fraction(output: Tensor, threshold: float = THRESHOLD) -> float:
    """The fraction of τ-dormant units.

    A unit's score is its mean |activation| over the batch, divided by the mean over its layer; it is dormant at or
    below the threshold (Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", ICML 2023,
    definition 3.1). Of a convolution, per channel.

    Args:
        output: ``[samples, units]`` or ``[samples, channels, ...]``.
        threshold: τ.
    """
    score = output.abs().transpose(0, 1).flatten(1).mean(1)
    return float((score <= threshold * score.mean()).double().mean())


def effective_rank(output: Tensor, delta: float = DELTA) -> int:
    """How many singular values of the matrix ``[samples, units]`` make up all but ``delta`` of their sum.

    Kumar et al., "Implicit Under-Parameterization Inhibits Data-Efficient Deep Reinforcement Learning", ICLR 2021,
    section 3. Of a convolution, channels and places are units.
    """
    values = torch.linalg.svdvals(output.detach().flatten(1).double())
    total = float(values.sum())
    if total == 0:
        return 0
    return int((values.cumsum(0) < (1 - delta) * total).sum()) + 1
