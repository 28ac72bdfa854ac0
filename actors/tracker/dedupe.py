"""The memory of one tracker's recent trades, by identity.

Pure. An identity is `(signature, mint, trader, is_buy, token_units)`: one signature can hold
several honest trades.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from actors.domain import US_PER_SECOND, Trade

MEMORY_US: Final = 600 * US_PER_SECOND
MEMORY_TRADES: Final = 4_096


def identity_hash(trade: Trade) -> int:
    """Hash a trade's identity to 64 bits (0.15 us).

    Only this process knows it by that: the memory of another one is read from the journal again.
    Two trades that differ collide with a chance of 2**-64 each; among the 4,096 that a tracker
    remembers, a new trade is taken for a known one once in 4e15 trades.
    """
    return hash((trade.signature, trade.mint, trade.trader, trade.is_buy, trade.token_units))


class RecentTrades:
    """Identities of the last 10 minutes, at most 4,096; the oldest is forgotten first.

    A trade that returns after its identity was forgotten counts as new.
    """

    __slots__ = ("_arrivals", "_oldest_us")

    def __init__(self) -> None:
        self._arrivals: OrderedDict[int, int] | None = None
        self._oldest_us = 0
        """When the first of them arrived: while that is recent, there is nothing to forget."""

    def __len__(self) -> int:
        return len(self._arrivals or ())

    def remember(self, identity: int, arrived_us: int) -> bool:
        """Take note of an identity; False when it is known from the last 10 minutes."""
        if self._oldest_us < arrived_us - MEMORY_US:
            self._forget(arrived_us - MEMORY_US)
        arrivals = self._arrivals
        if arrivals is None:
            # A plain dict would step over every entry ever taken from its front.
            arrivals = self._arrivals = OrderedDict()
        if identity in arrivals:
            return False
        arrivals[identity] = arrived_us
        if len(arrivals) > MEMORY_TRADES:
            arrivals.popitem(last=False)
            self._oldest_us = 0
        return True

    def _forget(self, before_us: int) -> None:
        """Drop what arrived earlier than `before_us`; identities stand in order of arrival."""
        arrivals = self._arrivals
        while arrivals:
            oldest = next(iter(arrivals))
            if arrivals[oldest] >= before_us:
                self._oldest_us = arrivals[oldest]
                return
            del arrivals[oldest]
