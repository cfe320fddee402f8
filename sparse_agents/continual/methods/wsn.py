"""Winning subnetworks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sparse_agents.continual.capacity import Capacity, LayerCapacity
from sparse_agents.continual.method import ContinualMethod
from sparse_agents.continual.network import Network
from sparse_agents.continual.openings import openings
from sparse_agents.errors import ConfigurationError
from sparse_agents.nn import SparseLayer
from sparse_agents.rules.scores import largest


class WSN(ContinualMethod):
    """Each task finds a subnetwork of its own, in which weights of earlier tasks may take part as they are.

    Kang et al., "Forget-free Continual Learning with Winning Subnetworks", ICML 2022; official code
    github.com/ihaeyong/WSN. Every connection has a score; a task uses those with the largest, layer by layer, and
    learns weights and scores together, the gradient of a score being that of its weight's presence (straight through).
    Weights that any earlier task uses are fixed, their scores are not: tasks overlap.

    The networks store what all tasks choose from, and compute all of it while a task is trained, because scores of
    absent connections need gradients, too; a view computes the task's connections alone.

    Differences from the official code: biases and norms are trained in the first task only, where theirs have scores;
    the last weights are kept, where theirs are those of the best validation.

    Args:
        share: of a layer's stored connections that a task uses.
    """

    needs_identity = True
    never_forgets = True

    def __init__(self, *args: Any, share: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 < share < 1:
            raise ConfigurationError(f"share={share} is not between 0 and 1.")
        self.share = share
        self.layers: dict[str, SparseLayer] = {
            network.key(name): layer
            for network in self.learner.networks.values()
            for name, layer in network.layers.items()
            if name in network.trunk or self.learner.outputs(0) is None
        }
        self.weights: dict[str, Tensor] = {}
        self.scores = {key: nn.Parameter(self._first_scores(layer)) for key, layer in self.layers.items()}
        self.masks: list[dict[str, Tensor]] = []
        self.scorers = {network.name: self._scorer(network) for network in self.learner.networks.values()}

    def _first_scores(self, layer: SparseLayer) -> Tensor:
        """As torch draws weights."""
        bound = layer.topology.shape[1] ** -0.5
        return torch.empty_like(layer.weight.data).uniform_(-bound, bound, generator=self.generator)

    def _scorer(self, network: Network) -> torch.optim.Optimizer:
        """Scores are trained as weights are."""
        kind: Any = type(network.optimizer)
        scores = [self.scores[key] for key, _ in self._of(network)]
        optimizer: torch.optim.Optimizer = kind(scores, **network.optimizer.defaults)
        return optimizer

    def allocate(self, task: int) -> None:
        self.masks.append({})
        self._open(task)
        self.weights = {key: layer.weight.detach().clone() for key, layer in self.layers.items()}
        for network in self.learner.networks.values():
            self._choose(network)

    def _choose(self, network: Network) -> None:
        """The connections with the largest scores are those that there are."""
        for key, layer in self._of(network):
            scores = self.scores[key].detach().abs()
            mask = torch.zeros_like(scores, dtype=torch.bool)
            mask[largest(scores, max(1, round(self.share * len(scores))))] = True
            self.masks[-1][key] = mask
            layer.weight.data.copy_(self.weights[key] * mask)

    def before_step(self, network: Network) -> None:
        """The gradients that arrived are those by what was present: weight times mask."""
        for key, layer in self._of(network):
            weight, scores = self.weights[key], self.scores[key]
            if layer.weight.grad is not None:
                scores.grad = layer.weight.grad * weight * scores.detach().sign()
                layer.weight.grad.mul_(self.masks[-1][key])
            layer.weight.data.copy_(weight)

    def after_step(self, network: Network) -> None:
        scorer = self.scorers[network.name]
        for key, layer in self._of(network):
            self.weights[key] = layer.weight.detach().clone()
        scorer.param_groups[0]["lr"] = network.optimizer.param_groups[0]["lr"]
        scorer.step()
        scorer.zero_grad()
        self._choose(network)

    @contextmanager
    def whole(self, network: Network) -> Iterator[None]:
        for key, layer in self._of(network):
            layer.weight.data.copy_(self.weights[key])
        yield
        for key, layer in self._of(network):
            self.weights[key] = layer.weight.detach().clone()
        self._choose(network)

    def _of(self, network: Network) -> list[tuple[str, SparseLayer]]:
        return [(key, self.layers[key]) for key in map(network.key, network.layers) if key in self.layers]

    def consolidate(self, task: int) -> None:
        for key, layer in self.layers.items():
            layer.weight.data.copy_(self.weights[key])

    def _open(self, task: int) -> None:
        """Weights that no earlier task uses, the task's output units, and biases and norms in the first task."""
        weights = {key: self._users(key, self.masks[:task]) == 0 for key in self.layers}
        for network in self.learner.networks.values():
            masks = openings(network, weights, self.learner.outputs(task), others=task == 0)
            self.gates[network.name].open = masks

    def shown(self, task: int | None) -> tuple[Mapping[Any, Tensor], Mapping[nn.Parameter, Tensor]]:
        if self.task < 0:
            return {}, {}
        masks = self.masks if task is None else self.masks[task : task + 1]
        return (
            {layer: self._users(key, masks) > 0 for key, layer in self.layers.items()},
            {layer.weight: self.weights[key] for key, layer in self.layers.items()},
        )

    def _users(self, key: str, masks: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """How many of these tasks use each connection."""
        return torch.stack([torch.zeros_like(self.scores[key]).long(), *(mask[key].long() for mask in masks)]).sum(
            dim=0
        )

    def capacity(self) -> Capacity:
        found = dict(super().capacity())
        done = self.masks if self.finished else self.masks[:-1]
        for key, layer in self.layers.items():
            users = self._users(key, self.masks)
            found[key.replace("/", ".", 1)] = LayerCapacity(
                possible=layer.topology.edges.size,
                free=int((users == 0).sum()),
                frozen=int((self._users(key, done) > 0).sum()),
                shared=int((users > 1).sum()),
            )
        return found

    def get_extra_state(self) -> dict[str, Any]:
        return {
            **super().get_extra_state(),
            "weights": dict(self.weights),
            "scores": {key: scores.detach().clone() for key, scores in self.scores.items()},
            "scorers": {name: scorer.state_dict() for name, scorer in self.scorers.items()},
            "masks": [dict(mask) for mask in self.masks],
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.weights, self.masks = dict(state["weights"]), [dict(mask) for mask in state["masks"]]
        for key, scores in state["scores"].items():
            self.scores[key].data.copy_(scores)
        for name, scorer in state["scorers"].items():
            self.scorers[name].load_state_dict(scorer)
        if self.task >= 0:
            self._open(self.task)
