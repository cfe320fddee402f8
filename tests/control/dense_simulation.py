"""The field's way, as an independent reference: dense matrices, masks and a dense Adam, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_agents.topology import distinct


class DenseSimulation:
    """A ReLU network with masked weights, trained by a hand-written Adam.

    Only the raw random numbers of growth are shared with the library: which free place a drawn rank means
    is found here by listing the zeros of the mask.
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor], masks: Sequence[Tensor], lr: float) -> None:
        self.weights = [w.double().clone() for w in weights]
        self.biases = [b.double().clone() for b in biases]
        self.masks = [m.clone() for m in masks]
        self.lr, self.t = lr, 0
        self.moments = [[torch.zeros_like(p), torch.zeros_like(p)] for p in (*self.weights, *self.biases)]

    def gradients(self, x: Tensor, y: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of the mean squared error with respect to every entry of the dense matrices, and the biases."""
        weights = [(w * m).requires_grad_() for w, m in zip(self.weights, self.masks, strict=True)]
        biases = [b.clone().requires_grad_() for b in self.biases]
        h = x
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            h = h @ w.T + b
            if i + 1 < len(weights):
                h = torch.relu(h)
        loss = ((h - y) ** 2).mean()
        found = torch.autograd.grad(loss, [*weights, *biases])
        return list(found[: len(weights)]), list(found[len(weights) :])

    def adam(self, weight_grads: list[Tensor], bias_grads: list[Tensor]) -> None:
        self.t += 1
        masked = [g * m for g, m in zip(weight_grads, self.masks, strict=True)]
        parameters = [*self.weights, *self.biases]
        for p, g, (m, v) in zip(parameters, [*masked, *bias_grads], self.moments, strict=True):
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g * g)
            p.sub_(self.lr * (m / (1 - 0.9**self.t)) / ((v / (1 - 0.999**self.t)).sqrt() + 1e-8))
        for w, m in zip(self.weights, self.masks, strict=True):
            w.mul_(m)

    def _exchange(self, i: int, dropped: Tensor, grown: Tensor, keep_regrown: bool) -> None:
        """Flat positions out and in."""
        mask = self.masks[i].flatten().clone()
        before = mask.clone()
        mask[dropped] = False
        mask[grown] = True
        fresh = torch.zeros_like(mask)
        fresh[grown] = True
        if keep_regrown:
            fresh &= ~before
        for tensor in (self.weights[i], *self.moments[i]):
            flat = tensor.view(-1)
            flat[fresh] = 0
            flat[~mask] = 0
        self.masks[i] = mask.view_as(self.masks[i])

    def set_update(self, fraction: float, generator: torch.Generator) -> None:
        for i, weight in enumerate(self.weights):
            flat, mask = weight.flatten(), self.masks[i].flatten()
            if mask.all():
                continue
            dropped: list[int] = []
            for sign in (mask & (flat >= 0), mask & (flat < 0)):
                places = sign.nonzero().flatten().tolist()
                places.sort(key=lambda p: (abs(float(flat[p])), p))
                dropped += places[: int(fraction * len(places))]
            free = mask.clone()
            free[dropped] = False
            candidates = (~free).nonzero().flatten()
            grown = candidates[distinct(len(candidates), len(dropped), generator)]
            self._exchange(i, torch.tensor(dropped, dtype=torch.int64), grown, keep_regrown=False)

    def rigl_update(self, fraction: float, gradients: list[Tensor]) -> None:
        for i, weight in enumerate(self.weights):
            flat, mask = weight.flatten(), self.masks[i].flatten()
            if mask.all():
                continue
            places = mask.nonzero().flatten().tolist()
            places.sort(key=lambda p: (abs(float(flat[p])), p))
            dropped = torch.tensor(places[: int(fraction * len(places))])
            survivors = mask.clone()
            survivors[dropped] = False
            score = gradients[i].abs().flatten().masked_fill(survivors, -1)
            grown = score.argsort(descending=True, stable=True)[: len(dropped)]
            self._exchange(i, dropped, grown, keep_regrown=True)
