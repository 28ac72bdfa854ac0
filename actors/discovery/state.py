"""What discovery knows; it belongs to the name, not to the instance, and outlives restarts.

Bounds: of creates, the newest `MAX_RECENT` mints are remembered, each with the signature of its
first create; a create of an older one would count as new.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from actors.discovery.coin_cache import CoinCache
from actors.discovery.coin_filter import CoinFilter
from actors.domain import FINISHED_PHASE, US_PER_SECOND, Coin, Mint, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from settings import Settings

MAX_RECENT: Final = 65_536
"""More than a day of creates (34,000 to 46,000)."""


class DiscoveryState:
    """Filter, cache and memory of discovery. Not thread-safe: one actor at a time has it."""

    def __init__(self, settings: Settings) -> None:
        self.coin_filter = CoinFilter(
            settings.bad_names_pattern,
            settings.spam_burst_window * US_PER_SECOND,
            settings.spam_burst_threshold,
        )
        self.cache = CoinCache(settings.coin_cache_seconds * US_PER_SECOND, settings.coin_cache_max)
        self.recent = RecentCreates()
        self.tracked: set[Mint] = set()
        """Mints whose trades go to a tracker; as many as there are trackers."""
        self.first_phase_id = 1
        self.discovered = 0
        self.activated = 0
        self.expired = 0

    def reconfigure(self, settings: Settings) -> None:
        """Change the rules and keep what is known.

        Raises:
            ValueError: The pattern for bad names is empty or invalid; nothing has changed.
        """
        self.coin_filter.reconfigure(
            settings.bad_names_pattern,
            settings.spam_burst_window * US_PER_SECOND,
            settings.spam_burst_threshold,
        )
        self.cache.keep_us = settings.coin_cache_seconds * US_PER_SECOND
        self.cache.max_coins = settings.coin_cache_max

    def choose_first_phase(self, phases: Iterable[Phase]) -> None:
        """Start streams in the lowest regular phase; in phase 1 when there is none."""
        self.first_phase_id = min(
            (phase.id for phase in phases if 1 <= phase.id < FINISHED_PHASE), default=1
        )


class RecentCreates:
    """The newest mints, each with the signature that created it; past `limit` the oldest goes."""

    def __init__(self, limit: int = MAX_RECENT) -> None:
        self._limit = limit
        self._signatures: OrderedDict[Mint, str] = OrderedDict()

    def signature(self, mint: Mint) -> str | None:
        """Give the signature of a mint's first create; None when it is not remembered."""
        return self._signatures.get(mint)

    def __contains__(self, mint: Mint) -> bool:
        return mint in self._signatures

    def add(self, coin: Coin) -> None:
        """Remember a create; a mint that is known stays as it is."""
        self._signatures.setdefault(coin.mint, coin.signature)
        if len(self._signatures) > self._limit:
            self._signatures.popitem(last=False)
