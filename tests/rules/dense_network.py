"""A network of dense float64 matrices with masks, and what the rules on it have in common.

Written for clarity and without the library's choices of algorithm: full sorts, Python loops, whole matrices. Only
random draws are made by the library's samplers, so that both sides see the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sparse_agents.topology import distinct

Update = Callable[["Dense"], None]


@dataclass
class Dense:
    """An MLP of ReLU layers with a mask on every weight matrix, trained by Adam on the mean squared error."""

    weights: list[Tensor]
    biases: list[Tensor]
    masks: list[Tensor]
    budgets: list[int]
    generator: torch.Generator
    lr: float = 0.01
    t: int = 0
    active: list[Tensor] | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    # of this step, and of this update
    x: Tensor = field(default_factory=lambda: torch.zeros(0))
    y: Tensor = field(default_factory=lambda: torch.zeros(0))
    grads: list[Tensor] = field(default_factory=list)
    bias_grads: list[Tensor] = field(default_factory=list)
    number: int = 0
    fraction: float = 0.0
    progress: float = 0.0

    def __post_init__(self) -> None:
        self.start = [int(m.sum()) for m in self.masks]
        self.m = [torch.zeros_like(p) for p in (*self.weights, *self.biases)]
        self.v = [torch.zeros_like(p) for p in (*self.weights, *self.biases)]

    def activations(self, weights: list[Tensor]) -> list[Tensor]:
        h = [self.x]
        for i, (w, b) in enumerate(zip(weights, self.biases, strict=True)):
            z = h[-1] @ w.T + b
            h.append(z.relu() if i + 1 < len(weights) else z)
        return h

    def used(self) -> list[Tensor]:
        masks = self.masks if self.active is None else self.active
        return [w * m for w, m in zip(self.weights, masks, strict=True)]

    def backward(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y
        weights = [w.detach().requires_grad_() for w in self.used()]
        saved = self.biases
        self.biases = [b.detach().requires_grad_() for b in saved]
        loss = ((self.activations(weights)[-1] - y) ** 2).mean()
        found = torch.autograd.grad(loss, [*weights, *self.biases])
        self.biases = saved
        self.grads, self.bias_grads = list(found[: len(weights)]), list(found[len(weights) :])

    def adam(self) -> None:
        self.t += 1
        grads = [g * m for g, m in zip(self.grads, self.masks, strict=True)] + self.bias_grads
        for p, g, m, v in zip((*self.weights, *self.biases), grads, self.m, self.v, strict=True):
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g * g)
            p.sub_(self.lr * (m / (1 - 0.9**self.t)) / ((v / (1 - 0.999**self.t)).sqrt() + 1e-8))
        if self.active is None:
            self.weights = [w * m for w, m in zip(self.weights, self.masks, strict=True)]

    def become(self, i: int, mask: Tensor, fresh: Tensor | None = None) -> None:
        """Another mask; what is new, and what is ``fresh``, starts at zero with zero moments."""
        zero = ~mask | (mask & ~self.masks[i]) if fresh is None else ~mask | (mask & ~self.masks[i]) | fresh
        for tensor in (self.weights[i], self.m[i], self.v[i]):
            tensor[zero] = 0
        self.masks[i] = mask

    def layers(self) -> range:
        return range(len(self.weights))

    def full(self, i: int) -> bool:
        return bool(self.masks[i].all())


def at(mask_like: Tensor, positions: list[int]) -> Tensor:
    """A mask of these positions."""
    mask = torch.zeros(mask_like.numel(), dtype=torch.bool)
    mask[positions] = True
    return mask.view_as(mask_like)


def ranked(score: Tensor, among: Tensor, largest: bool) -> list[int]:
    """Positions in ``among``, best first, ties by position."""
    flat, places = score.flatten().tolist(), among.flatten().nonzero().flatten().tolist()
    return sorted(places, key=lambda p: (-flat[p] if largest else flat[p], p))


def smallest_weights(net: Dense, i: int, count: int) -> Tensor:
    return at(net.masks[i], ranked(net.weights[i].abs(), net.masks[i], largest=False)[:count])


def random_free(taken: Tensor, count: int, generator: torch.Generator) -> Tensor:
    free = (~taken).flatten().nonzero().flatten()
    return at(taken, free[distinct(len(free), count, generator)].tolist())


def nnz(net: Dense, i: int) -> int:
    return int(net.masks[i].sum())


def cubic(start: float, final: float, progress: float) -> int:
    return round(final + (start - final) * (1 - progress) ** 3)


def global_top(scores: list[Tensor], masks: list[Tensor], count: int) -> list[Tensor]:
    """The best over all layers; the best of each layer is safe."""
    entries = [
        (-value, i, p)
        for i, (score, mask) in enumerate(zip(scores, masks, strict=True))
        for p, (value, there) in enumerate(zip(score.flatten().tolist(), mask.flatten().tolist(), strict=True))
        if there
    ]
    safe = [min(e for e in entries if e[1] == i) for i in range(len(scores))]
    rest = sorted(e for e in entries if e not in set(safe))
    kept = safe + rest[: count - len(safe)]
    return [at(mask, [p for _, j, p in kept if j == i]) for i, mask in enumerate(masks)]


def prune_to(net: Dense, masks: list[Tensor]) -> None:
    for i in net.layers():
        net.become(i, masks[i])
