"""Coins that were discovered and wait for their activation, with every trade since their create.

Guarantees: a trade counts once, by identity; a coin leaves with all of its trades or with none, so
nobody is ever handed a part of its history as if it were the whole; coins leave in the order they
came.
Bounds: `max_coins` coins, `MAX_TRADES_PER_COIN` trades of one coin and `MAX_TRADES` trades
together. Past a bound whole coins are evicted: past its own bound the coin itself, past the others
the oldest that is not activated (the oldest of all when every one is). The caller gets what left,
to count it and to end its subscription.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from actors.domain import LAMPORTS_PER_SOL, US_PER_SECOND, Coin, Migration, Mint, Trade, Wallet

LONGEST_WAIT_US: Final = 600 * US_PER_SECOND
"""A tracker starts within moments, unless MAX_TRACKERS are taken."""
MAX_TRADES_PER_COIN: Final = 8_192
"""50 trades a second, the most one mint is planned for, over the default 120 s are 6,000."""

MAX_TRADES: Final = 262_144
"""The whole market at 400 trades a second makes 48,000 in 120 s; this many take about 125 MB."""

GRADUATION_PCT: Final = 99.5

Identity = tuple[str, Wallet, bool, int]


def is_full(virtual_sol_lamports: int | None, initial_sol: float, full_sol: float) -> bool:
    """Say whether a bonding curve holds 99.5 % of its SOL: `(virtual - initial) / full`.

    Unknown reserves are not full.
    """
    if virtual_sol_lamports is None:
        return False
    real_sol = virtual_sol_lamports / LAMPORTS_PER_SOL - initial_sol
    return real_sol * 100 >= GRADUATION_PCT * full_sol


@dataclass(slots=True)
class CachedCoin:
    """One coin in the cache. `CoinCache` changes its trades, discovery its marks."""

    coin: Coin
    trades: list[Trade] = field(default_factory=list)
    """Unique, in order of arrival; the creator's own buy is the first."""
    identities: set[Identity] = field(default_factory=set)
    n8n_sent: bool = False
    activated: bool = False
    """Asked to be tracked; its trades are still gathered here until the route has switched."""
    subscription_active: bool = True
    migration: Migration | None = None

    @property
    def discovered_us(self) -> int:
        """Arrival of its create."""
        return self.coin.arrived_us


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache holds. Times are arrivals of creates, None when it is empty."""

    total: int
    trades: int
    oldest_us: int | None
    newest_us: int | None


class CoinCache:
    """See the module's docstring. Not thread-safe: it belongs to discovery."""

    def __init__(
        self,
        keep_us: int,
        max_coins: int,
        max_trades: int = MAX_TRADES,
        max_trades_per_coin: int = MAX_TRADES_PER_COIN,
    ) -> None:
        self.keep_us = keep_us
        """How long a coin waits for its activation; may be changed at any time."""
        self.max_coins = max_coins
        """How many coins there may be; may be changed at any time, acts with the next `shrink`."""
        self._max_trades = max_trades
        self._max_trades_per_coin = max_trades_per_coin
        # By arrival. A dict would step over every entry ever taken from its front.
        self._entries: OrderedDict[Mint, CachedCoin] = OrderedDict()
        self._trades = 0

    def get(self, mint: Mint) -> CachedCoin | None:
        """Give the coin, None when it is not here."""
        return self._entries.get(mint)

    def add(self, coin: Coin) -> CachedCoin:
        """Take a coin that is not here yet, and its creator's own buy as its first trade.

        Coins come in the order of their arrival. Call `evict` afterwards.

        Raises:
            ValueError: The coin is here already.
        """
        if coin.mint in self._entries:
            raise ValueError(f"coin {coin.mint} is cached already; look with get() first")
        entry = self._entries[coin.mint] = CachedCoin(coin)
        if coin.buy is not None:
            self.add_trade(entry, coin.buy)
        return entry

    def add_trade(self, entry: CachedCoin, trade: Trade) -> bool:
        """Keep a trade of a coin that is here; False when it was seen before.

        Call `evict` afterwards.
        """
        identity = (trade.signature, trade.trader, trade.is_buy, trade.token_units)
        if identity in entry.identities:
            return False
        entry.identities.add(identity)
        entry.trades.append(trade)
        self._trades += 1
        return True

    def evict(self, touched: CachedCoin) -> list[CachedCoin]:
        """Take out what is past a bound since `touched` was added or got a trade."""
        evicted = []
        if len(touched.trades) > self._max_trades_per_coin:
            self.remove(touched.coin.mint)
            evicted.append(touched)
        return [*evicted, *self.shrink()]

    def shrink(self) -> list[CachedCoin]:
        """Take out the oldest coins until the bounds of the whole cache hold."""
        evicted = []
        while len(self._entries) > self.max_coins or self._trades > self._max_trades:
            evicted.append(self._take_oldest())
        return evicted

    def expire(self, now_us: int) -> list[CachedCoin]:
        """Take out the coins that have waited for `keep_us` and are not activated, oldest first."""
        due_us = now_us - self.keep_us
        expired = []
        for entry in self._entries.values():
            if entry.discovered_us > due_us:
                break
            if not entry.activated:
                expired.append(entry)
        for entry in expired:
            self.remove(entry.coin.mint)
        return expired

    def give_up(self, now_us: int) -> list[CachedCoin]:
        """Take out activated coins that nobody has tracked for `LONGEST_WAIT_US`, oldest first.

        A coin that waits for a free tracker keeps the journal from the instant of its create on.
        """
        due_us = now_us - self.keep_us - LONGEST_WAIT_US
        given_up = []
        for entry in self._entries.values():
            if entry.discovered_us > due_us:
                break
            given_up.append(entry)
        for entry in given_up:
            self.remove(entry.coin.mint)
        return given_up

    def next_expiry_us(self) -> int | None:
        """When `expire` or `give_up` will find the next coin; None when the cache is empty."""
        if not self._entries:
            return None
        oldest_us = next(iter(self._entries.values())).discovered_us
        waiting = self._oldest_waiting()
        give_up_us = oldest_us + self.keep_us + LONGEST_WAIT_US
        if waiting is None:
            return give_up_us
        return min(waiting.discovered_us + self.keep_us, give_up_us)

    def remove(self, mint: Mint) -> CachedCoin | None:
        """Take out a coin with all its trades; None when it is not here."""
        entry = self._entries.pop(mint, None)
        if entry is not None:
            self._trades -= len(entry.trades)
        return entry

    def stats(self) -> CacheStats:
        """Count what is here."""
        entries = self._entries
        return CacheStats(
            total=len(entries),
            trades=self._trades,
            oldest_us=next(iter(entries.values())).discovered_us if entries else None,
            newest_us=next(reversed(entries.values())).discovered_us if entries else None,
        )

    def _take_oldest(self) -> CachedCoin:
        entry = self._oldest_waiting() or next(iter(self._entries.values()))
        self.remove(entry.coin.mint)
        return entry

    def _oldest_waiting(self) -> CachedCoin | None:
        return next((entry for entry in self._entries.values() if not entry.activated), None)
