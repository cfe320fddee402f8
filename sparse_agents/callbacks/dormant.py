"""Units that have stopped contributing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

THRESHOLD = 0.025


@torch.no_grad()
def dormant_fractions(
    activations: Mapping[str, nn.Module], run: Callable[[], object], threshold: float = THRESHOLD
) -> dict[str, float]:
    """Fraction of τ-dormant units behind each activation module.

    A unit's score is its mean |activation| over the batch, divided by the mean over its layer; it is
    dormant at or below the threshold (Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement
    Learning", ICML 2023, definition 3.1).

    Args:
        activations: modules whose outputs, ``[batch, units]`` or ``[batch, channels, ...]``, are looked at, by name.
        run: a forward pass through all of them.
        threshold: τ.
    """
    fractions: dict[str, float] = {}

    def look(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            score = output.abs().transpose(0, 1).flatten(1).mean(1)  # of a convolution, per channel
            fractions[name] = float((score <= threshold * score.mean()).double().mean())

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in activations.items()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return fractions
