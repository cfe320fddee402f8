"""Sharing a number of connections out among layers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def share_out(total: int, weights: Sequence[float], room: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to ``weights``, none above ``room``, that sum to ``total``.

    What a full place cannot take is shared out again among the others, in proportion; what is lost by rounding down
    goes to the largest remainders, ties by index. Places of weight zero get something only when nobody else can.
    """
    if total > sum(room):
        raise ValueError(f"There is room for {sum(room)}, not for {total}.")
    shares = [0] * len(room)
    open_places = [i for i in range(len(room)) if room[i]]
    left = total
    while open_places:
        scale = sum(weights[i] for i in open_places)
        exact = {i: left * (weights[i] / scale if scale > 0 else 1 / len(open_places)) for i in open_places}
        full = [i for i in open_places if exact[i] >= room[i]]
        if not full:
            break
        for i in full:
            shares[i] = min(room[i], left)
            left -= shares[i]
        open_places = [i for i in open_places if i not in full]
    whole = {i: math.floor(exact[i] + 1e-9) for i in open_places}
    by_remainder = sorted(open_places, key=lambda i: whole[i] - exact[i])
    for i in open_places:
        shares[i] = whole[i]
    for i in by_remainder[: left - sum(whole.values())]:
        shares[i] += 1
    return shares
