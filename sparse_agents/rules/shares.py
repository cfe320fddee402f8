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
    left = total
    while left:
        open_places = [i for i in range(len(room)) if shares[i] < room[i]]
        scale = sum(weights[i] for i in open_places)
        part = {i: weights[i] / scale if scale > 0 else 1 / len(open_places) for i in open_places}
        exact = {i: min(left * part[i], room[i] - shares[i]) for i in open_places}
        given = {i: math.floor(value + 1e-9) for i, value in exact.items()}
        if not any(given.values()):
            by_remainder = sorted(open_places, key=lambda i: -exact[i])
            given = dict.fromkeys(by_remainder[:left], 1)
        for i, number in given.items():
            shares[i] += number
            left -= number
    return shares
