"""The published rules, each as a plain update of a dense network with masks."""

from __future__ import annotations

import math

import torch
from dense_network import Dense, at, cubic, global_top, nnz, prune_to, random_free, ranked, smallest_weights
from torch import Tensor

# ---------------------------------------------------------------- before training


def magnitude(net: Dense) -> None:
    sizes = [w.abs() for w in net.weights]
    masks = zip(sizes, net.masks, net.budgets, strict=True)
    prune_to(net, [at(m, ranked(size, m, largest=True)[:budget]) for size, m, budget in masks])


def magnitude_global(net: Dense) -> None:
    prune_to(net, global_top([w.abs() for w in net.weights], net.masks, sum(net.budgets)))


def snip(net: Dense) -> None:
    scores = [(w * g).abs() for w, g in zip(net.weights, net.grads, strict=True)]
    prune_to(net, global_top(scores, net.masks, sum(net.budgets)))


def grasp(net: Dense) -> None:
    def loss(*weights: Tensor) -> Tensor:
        return ((net.activations(list(weights))[-1] - net.y) ** 2).mean()

    direction = tuple(g.detach() for g in net.grads)
    _, product = torch.autograd.functional.hvp(loss, tuple(net.weights), direction)
    scores = [w * h for w, h in zip(net.weights, product, strict=True)]
    prune_to(net, global_top(scores, net.masks, sum(net.budgets)))


def synflow(net: Dense, rounds: int = 100) -> None:
    total, budget = sum(net.start), sum(net.budgets)
    masks = [m.clone() for m in net.masks]
    for k in range(1, rounds + 1):
        leaves = [(w.abs() * m).requires_grad_() for w, m in zip(net.weights, masks, strict=True)]
        h = torch.ones(leaves[0].shape[1], dtype=torch.float64)
        for leaf in leaves:
            h = leaf @ h
        flows = torch.autograd.grad(h.sum(), leaves)
        scores = [(f * w).detach() for f, w in zip(flows, leaves, strict=True)]
        masks = global_top(scores, masks, round(total * (budget / total) ** (k / rounds)))
    prune_to(net, masks)


# ---------------------------------------------------------------- sparse to sparse


def set_by_size(net: Dense) -> None:
    for i in net.layers():
        if not net.full(i) and int(net.fraction * nnz(net, i)):
            count = int(net.fraction * nnz(net, i))
            survivors = net.masks[i] & ~smallest_weights(net, i, count)
            grown = random_free(survivors, count, net.generator)
            net.become(i, survivors | grown, fresh=grown)


def set_(net: Dense) -> None:
    for i in net.layers():
        if net.full(i):
            continue
        w, mask = net.weights[i], net.masks[i]
        dropped: list[int] = []
        for sign in (mask & (w >= 0), mask & (w < 0)):
            dropped += ranked(w.abs(), sign, largest=False)[: int(net.fraction * int(sign.sum()))]
        survivors = mask & ~at(mask, dropped)
        grown = random_free(survivors, len(dropped), net.generator)
        net.become(i, survivors | grown, fresh=grown)


def rigl(net: Dense) -> None:
    for i in net.layers():
        if net.full(i):
            continue
        count = int(net.fraction * nnz(net, i))
        survivors = net.masks[i] & ~smallest_weights(net, i, count)
        grown = at(survivors, ranked(net.grads[i].abs(), ~survivors, largest=True)[:count])
        net.become(i, survivors | grown)


def deepr_born(net: Dense) -> None:
    """In a full layer a connection that turns is the only dormant one, and is born again."""
    for i in net.layers():
        if net.full(i):
            net.memory["sign"][i] = torch.where(net.weights[i] < 0, -1.0, 1.0).double()


def deepr_step(net: Dense, l1: float = 1e-5, noise: float = 1e-5) -> None:
    for i in net.layers():
        sign = net.memory["sign"][i]
        mask = net.masks[i]
        drawn = torch.randn(int(mask.sum()), generator=net.generator, dtype=torch.float64)
        net.weights[i][mask] += noise * drawn - net.lr * l1 * sign[mask]


def deepr(net: Dense) -> None:
    planned = []
    for i in net.layers():
        turned = net.masks[i] & (net.weights[i] * net.memory["sign"][i] < 0)
        if net.full(i) or not turned.any():
            continue
        survivors = net.masks[i] & ~turned
        planned.append((i, survivors, random_free(survivors, int(turned.sum()), net.generator)))
    for i, survivors, grown in planned:
        net.become(i, survivors | grown, fresh=grown)
        sign = torch.randint(2, (int(grown.sum()),), generator=net.generator) * 2.0 - 1.0
        net.weights[i][grown] = 1e-12 * sign.double()
        net.memory["sign"][i][grown] = sign.double()


def dsr(net: Dense, tolerance: float = 0.1) -> None:
    threshold = net.memory.setdefault("threshold", 1e-3)
    dropped = []
    for i in net.layers():
        below = net.masks[i] & (net.weights[i].abs() < threshold)
        if int(below.sum()) == nnz(net, i):
            below = smallest_weights(net, i, nnz(net, i) - 1)
        dropped.append(below)
    count = sum(int(d.sum()) for d in dropped)
    target = net.fraction * sum(nnz(net, i) for i in net.layers())
    if count < (1 - tolerance) * target:
        net.memory["threshold"] = threshold * 2
    elif count > (1 + tolerance) * target:
        net.memory["threshold"] = threshold / 2
    room = [int((~m).sum()) for m in net.masks]
    assert count <= sum(room)
    left = [nnz(net, i) - int(dropped[i].sum()) for i in net.layers()]
    grow = shares(count, left, room)
    for i in net.layers():
        if bool(dropped[i].any()) or grow[i]:
            grown = random_free(net.masks[i], grow[i], net.generator)
            net.become(i, (net.masks[i] & ~dropped[i]) | grown)


def shares(total: int, weights: list[float], room: list[int]) -> list[int]:
    """Proportional with caps: who would get more than there is room for is filled and left out; then Hamilton."""
    given, rest = [0] * len(room), {i for i in range(len(room)) if room[i] > 0}
    while rest:
        left = total - sum(given)
        scale = sum(weights[i] for i in rest)
        wish = {i: left * weights[i] / scale for i in rest}
        filled = {i for i in rest if wish[i] >= room[i]}
        if not filled:
            for i in rest:
                given[i] = int(wish[i] + 1e-9)
            for i in sorted(rest, key=lambda i: (given[i] - wish[i], i))[: total - sum(given)]:
                given[i] += 1
            break
        for i in filled:
            given[i] = room[i]
        rest -= filled
    return given


def snfs_step(net: Dense) -> None:
    if "m" not in net.memory:
        net.memory["m"] = [torch.zeros_like(g) for g in net.grads]
        net.memory["v"] = [torch.zeros_like(g) for g in net.grads]
    for i in net.layers():
        net.memory["m"][i] = 0.9 * net.memory["m"][i] + 0.1 * net.grads[i]
        net.memory["v"][i] = 0.999 * net.memory["v"][i] + 0.001 * net.grads[i] ** 2


def snfs(net: Dense) -> None:
    momentum = [m.abs() / (v.sqrt() + 1e-8) for m, v in zip(net.memory["m"], net.memory["v"], strict=True)]
    part = [i for i in net.layers() if net.budgets[i] < net.masks[i].numel()]
    strength = {i: float(momentum[i][net.masks[i]].mean()) for i in part}
    survivors, dropped = {}, 0
    for i in part:
        fraction, sparsity = net.fraction, 1 - nnz(net, i) / net.masks[i].numel()
        if sparsity < 0.2 and strength[i] / sum(strength.values()) > 1 / len(part):
            fraction = min(fraction, sparsity)
        count = min(math.ceil(fraction * nnz(net, i)), nnz(net, i) - 1)
        survivors[i] = net.masks[i] & ~smallest_weights(net, i, count)
        dropped += count
    grow = shares(dropped, [strength[i] for i in part], [int((~survivors[i]).sum()) for i in part])
    for i, more in zip(part, grow, strict=True):
        grown = at(survivors[i], ranked(momentum[i], ~survivors[i], largest=True)[:more])
        if bool(((survivors[i] | grown) != net.masks[i]).any()):
            net.become(i, survivors[i] | grown)


def mest(net: Dense, soft: bool = False) -> None:
    part = 1.0 if net.progress <= 0.5625 else 0.5 if net.progress <= 0.75 else 0.0
    for i in net.layers():
        size, budget = net.masks[i].numel(), net.budgets[i]
        if budget == size:
            continue
        exchanged = int(net.fraction * part * budget)
        wanted = min(budget + exchanged, size) if soft else budget
        importance = net.weights[i].abs() + 0.01 * net.grads[i].abs()
        kept = at(
            net.masks[i], ranked(importance, net.masks[i], largest=True)[: budget if soft else budget - exchanged]
        )
        if not bool((kept != net.masks[i]).any()) and wanted == int(kept.sum()):
            continue
        grown = random_free(kept, wanted - int(kept.sum()), net.generator)
        net.become(i, kept | grown, fresh=grown)


def ctre(net: Dense, variant: str = "sim") -> None:
    h = net.memory["activations"]
    for i in net.layers():
        if net.full(i):
            continue
        count = int(net.fraction * nnz(net, i))
        if count == 0:
            continue
        survivors = net.masks[i] & ~smallest_weights(net, i, count)
        before, after = h[i].T, h[i + 1].T
        before, after = (
            a / a.norm(dim=1, keepdim=True).where(a.any(1, keepdim=True), torch.ones(1)) for a in (before, after)
        )
        cosine = after @ before.T
        alike = at(survivors, ranked(cosine.abs(), ~survivors, largest=True)[:count])
        if variant == "sim":
            new = alike & ~net.masks[i]
            alike = new | random_free(survivors | new, count - int(new.sum()), net.generator)
        net.become(i, survivors | alike)


def srigl(net: Dense, gamma: float = 0.3) -> None:
    for i in net.layers():
        if net.full(i):
            continue
        rows, cols = net.masks[i].shape
        total = nnz(net, i)
        exchanged = int(net.fraction * total)
        size, grad = net.weights[i].abs(), net.grads[i].abs()
        active = list(range(rows))
        if i != len(net.weights) - 1:
            salient = at(size, ranked(size, net.masks[i], largest=True)[: total - exchanged])
            salient |= at(grad, ranked(grad, ~net.masks[i], largest=True)[:exchanged])
            counts = salient.sum(1).tolist()
            active = [r for r in range(rows) if counts[r] >= max(1, int(gamma * total / rows))]
            needed = math.ceil(total / cols)
            if len(active) < needed:
                active = sorted(sorted(range(rows), key=lambda r: (-counts[r], r))[:needed])
        among = net.masks[i].clone()
        among[[r for r in range(rows) if r not in active]] = False
        kept = at(size, ranked(size, among, largest=True)[: total - exchanged])
        mask = torch.zeros_like(kept)
        for place, r in enumerate(active):
            fan_in = total // len(active) + (place < total % len(active))
            row = at(size[r], ranked(size[r], kept[r], largest=True)[:fan_in])
            row |= at(size[r], ranked(grad[r], ~row, largest=True)[: fan_in - int(row.sum())])
            mask[r] = row
        net.become(i, mask)


def nm(net: Dense, m: int = 8) -> None:
    for i in net.layers():
        if net.full(i):
            continue
        rows, cols = net.masks[i].shape
        n = nnz(net, i) * m // (rows * cols)
        count = int(net.fraction * nnz(net, i))
        mask = net.masks[i] & ~smallest_weights(net, i, count)
        for r in range(rows):
            for first in range(0, cols, m):
                group = slice(first, first + m)
                best = ranked(net.grads[i][r, group].abs(), ~mask[r, group], largest=True)
                mask[r, group] |= at(mask[r, group], best[: n - int(mask[r, group].sum())])
        net.become(i, mask)


def paths_of_three(mask: Tensor, by_nodes: bool) -> Tensor:
    """CH3-L3p or CH2-L3n of every absent pair, by enumerating paths u – z1 – z2 – v; mask is [outputs, inputs]."""
    rows, cols = mask.shape
    inputs_of = [set(mask[r].nonzero().flatten().tolist()) for r in range(rows)]
    outputs_of = [set(mask[:, c].nonzero().flatten().tolist()) for c in range(cols)]
    score = torch.zeros(rows, cols, dtype=torch.float64)
    for v in range(rows):
        for u in range(cols):
            if mask[v, u]:
                continue
            paths = [(z1, z2) for z1 in outputs_of[u] for z2 in inputs_of[v] if z2 in inputs_of[z1]]
            local1, local2 = {z1 for z1, _ in paths}, {z2 for _, z2 in paths}
            external1 = {z1: len(inputs_of[z1] - local2 - {u}) for z1 in local1}
            external2 = {z2: len(outputs_of[z2] - local1 - {v}) for z2 in local2}
            if by_nodes:
                score[v, u] += sum((1 + len(inputs_of[z1] & local2)) / (1 + external1[z1]) for z1 in local1)
                score[v, u] += sum((1 + len(outputs_of[z2] & local1)) / (1 + external2[z2]) for z2 in local2)
            else:
                score[v, u] += sum(1 / math.sqrt((1 + external1[a]) * (1 + external2[b])) for a, b in paths)
    return score


def cht(net: Dense, by_nodes: bool = False) -> None:
    for i in net.layers():
        if net.full(i):
            continue
        count = int(net.fraction * nnz(net, i))
        if count == 0:
            continue
        survivors = net.masks[i] & ~smallest_weights(net, i, count)
        score = paths_of_three(survivors, by_nodes).round(decimals=12)  # equal sums of another order are ties
        best = [p for p in ranked(score, ~survivors, largest=True) if score.flatten()[p] > 0][:count]
        grown = at(survivors, best)
        grown |= random_free(survivors | grown, count - len(best), net.generator)
        net.become(i, survivors | grown)


def topkast_step(net: Dense, regularisation: float = 1e-4) -> None:
    if "rest" not in net.memory:
        net.memory["rest"] = []
        for i in net.layers():
            ceiling = float(net.weights[i][net.masks[i]].abs().min())
            key = int(torch.randint(2**62, (), generator=net.generator))
            outside = [hashed(p, key) * ceiling for p in range(net.masks[i].numel())]
            net.memory["rest"].append(torch.tensor(outside, dtype=torch.float64).view_as(net.weights[i]))
    assert net.active is not None
    for i in net.layers():
        density = net.budgets[i] / net.masks[i].numel()
        factor = torch.ones_like(net.weights[i]).masked_fill(~net.active[i], 1.0 / density)
        penalty = factor * net.weights[i] * regularisation
        net.grads[i] = net.grads[i] + penalty


def hashed(position: int, key: int) -> float:
    """SplitMix64's mixing of position * golden ratio + key, its upper 53 bits in (−1, 1)."""
    z = (position * 0x9E3779B97F4A7C15 + key) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (((z ^ (z >> 31)) >> 11) + 0.5) * 2.0**-52 - 1.0


def topkast(net: Dense) -> None:
    """Here the dense θ is kept: ``rest`` holds it outside B."""
    assert net.active is not None
    for i in net.layers():
        mask, rest = net.masks[i], net.memory["rest"][i]
        theta = torch.where(mask, net.weights[i], rest)
        backward = at(mask, ranked(theta.abs(), torch.ones_like(mask), largest=True)[: net.start[i]])
        net.memory["rest"][i] = theta.clone()
        come = backward & ~mask
        net.become(i, backward)
        net.weights[i][come] = theta[come]
        net.active[i] = at(mask, ranked(theta.abs(), backward, largest=True)[: net.budgets[i]])


# ---------------------------------------------------------------- dense to sparse


def gmp(net: Dense) -> None:
    for i in net.layers():
        kept = ranked(net.weights[i].abs(), net.masks[i], largest=True)
        net.become(i, at(net.masks[i], kept[: cubic(net.start[i], net.budgets[i], net.progress)]))


def lamp(net: Dense) -> None:
    scores = []
    for i in net.layers():
        square = (net.weights[i] ** 2).flatten()
        order = ranked(net.weights[i].abs(), net.masks[i], largest=False)
        score = torch.zeros_like(square)
        for rank, p in enumerate(order):
            score[p] = square[p] / square[order[rank:]].sum()
        scores.append(score.view_as(net.weights[i]))
    count = sum(cubic(s, b, net.progress) for s, b in zip(net.start, net.budgets, strict=True))
    prune_to(net, global_top(scores, net.masks, count))


def acdc(net: Dense) -> None:
    if net.number % 2 == 0 or net.progress == 1:
        magnitude(net)
    else:
        prune_to(net, [torch.ones_like(m) for m in net.masks])


def granet(net: Dense, until: float = 0.5) -> None:
    progress = min(net.progress / until, 1.0)
    count = sum(cubic(s, b, progress) for s, b in zip(net.start, net.budgets, strict=True))
    kept = global_top([w.abs() for w in net.weights], net.masks, count)
    for i in net.layers():
        weak = ranked(net.weights[i].abs(), kept[i], largest=False)[: int(net.fraction * int(kept[i].sum()))]
        survivors = kept[i] & ~at(kept[i], weak)
        grown = at(survivors, ranked(net.grads[i].abs(), ~survivors, largest=True)[: len(weak)])
        net.become(i, survivors | grown)
