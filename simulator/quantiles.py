"""The measured distributions of the feed, as quantile tables that can be sampled."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Quantiles:
    """A positive distribution given by some of its quantiles, log-linear between them."""

    def __init__(self, zero_share: float, *points: tuple[float, float]) -> None:
        """Take the table.

        Args:
            zero_share: share of draws that are exactly 0, in 0..1.
            points: (share, value) in rising order; the last share must be 1.
        """
        self._zero_share = zero_share
        self._shares = [share for share, _ in points]
        self._logs = [math.log(value) for _, value in points]

    def at(self, share: float) -> float:
        """Return the value below which `share` (0..1) of all draws lie."""
        if share < self._zero_share:
            return 0.0
        right = bisect_right(self._shares, share)
        if right == 0:
            return math.exp(self._logs[0])
        if right == len(self._shares):
            return math.exp(self._logs[-1])
        low, high = self._shares[right - 1], self._shares[right]
        weight = (share - low) / (high - low)
        start = self._logs[right - 1]
        return math.exp(start + weight * (self._logs[right] - start))

    def draw(self, rng: Random) -> float:
        """Draw one value."""
        return self.at(rng.random())


def chance(rng: Random, share: float) -> bool:
    """Say yes with probability `share` (0..1)."""
    return rng.random() < share


CREATE_GAP_S = Quantiles(
    0.0, (0, 0.002), (0.1, 0.05), (0.25, 0.3), (0.5, 1.1), (0.75, 3.4), (0.9, 7.9), (0.99, 17.9),
    (1, 40),
)  # fmt: skip
CREATOR_BUY_SOL = Quantiles(
    0.15, (0.15, 0.0001), (0.25, 0.001), (0.5, 0.12), (0.75, 1.0), (0.9, 4.94), (0.99, 9.88),
    (1, 84.9),
)  # fmt: skip
BUY_SOL = Quantiles(0.0, (0, 0.00002), (0.1, 0.005), (0.5, 0.1), (0.9, 1.06), (0.99, 2.46), (1, 30))
SELL_SOL = Quantiles(
    0.0, (0, 0.00002), (0.1, 0.005), (0.5, 0.105), (0.9, 1.17), (0.99, 3.23), (1, 66)
)
TRADES_PER_MINT = Quantiles(
    0.15, (0.15, 1), (0.25, 2), (0.5, 7), (0.75, 28), (0.9, 101), (0.95, 213), (0.99, 837),
    (0.999, 2180), (1, 4074),
)  # fmt: skip
TRADE_GAP_S = Quantiles(
    0.0, (0, 0.0005), (0.1, 0.002), (0.5, 0.31), (0.75, 1.16), (0.9, 4.1), (0.99, 99), (1, 600)
)
