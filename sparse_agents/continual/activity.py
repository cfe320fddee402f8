"""How active the units of a network are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_agents.continual.network import Network


@dataclass(frozen=True)
class Activity:
    """What samples of one kind, such as those of a class, bring about.

    Attributes:
        outputs: the output units that belong to the kind; None where all do.
        of: mean |activation| ``[units]`` by the key of the layer.
    """

    outputs: Tensor | None
    of: Mapping[str, Tensor]


@contextmanager
def watched(networks: Mapping[str, Network], training: bool = False) -> Iterator[dict[str, Tensor]]:
    """Within, what units of hidden layers said last, ``[samples, units]`` by the layer's key.

    Args:
        networks: to watch.
        training: look only at what gradients are taken of.
    """
    seen: dict[str, Tensor] = {}

    def look(key: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if torch.is_grad_enabled() or not training:
                seen[key] = output.detach()

        return hook

    handles = [
        module.register_forward_hook(look(network.key(name)))
        for network in networks.values()
        for name, module in network.activations.items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def activity(networks: Mapping[str, Network], run: Callable[[], object], outputs: Tensor | None) -> Activity:
    """Of one forward pass.

    Args:
        networks: that are run through.
        run: the pass.
        outputs: as :class:`Activity` has them.
    """
    with watched(networks) as seen:
        run()
    return Activity(outputs, {key: value.abs().mean(dim=0) for key, value in seen.items()})
