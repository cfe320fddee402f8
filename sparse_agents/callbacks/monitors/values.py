"""How large weights and action values are."""

from __future__ import annotations

import torch

from sparse_agents.callbacks.monitors.base import Monitor
from sparse_agents.callbacks.watched import Log, Watched


class Values(Monitor):
    """``weights/magnitude/…``, ``weights/largest/…``: mean and largest magnitude of a layer's weights;
    ``gradients/norm/…``: of those of the last step; ``gradients/change/…``: of those in the first step after the last
    update of the topology, relative to those at the update; ``values/mean``, ``values/deviation``: of the first
    critic's action values on recent transitions.
    """

    def record(self, watched: Watched, log: Log) -> None:
        squares = 0.0
        for name, layer in watched.layers.items():
            magnitude = layer.weight.detach().abs()
            if not len(magnitude):
                continue
            log.layer(f"weights/magnitude/{name}", float(magnitude.mean()))
            log.layer(f"weights/largest/{name}", float(magnitude.max()))
            if layer.weight.grad is not None:
                norm = float(layer.weight.grad.norm())
                squares += norm**2
                log.layer(f"gradients/norm/{name}", norm)
        log.total("gradients/norm/total", squares**0.5)
        for controller in watched.controllers.values():
            flow = controller.gradient_flow
            for name, norm in flow.after.items():
                if flow.before.get(name):
                    log.layer(f"gradients/change/{name}", norm / flow.before[name])
        critic = getattr(watched.policy, "critic", None)
        if critic is None or watched.recent is None:
            return
        with torch.no_grad():
            values = critic(watched.recent.observations, watched.recent.actions)[0]
        log.total("values/mean", float(values.mean()))
        log.total("values/deviation", float(values.std(correction=0)))
