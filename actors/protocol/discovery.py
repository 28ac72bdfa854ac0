"""What discovery receives."""

from __future__ import annotations

from typing import ClassVar

from actors.domain import Coin, FeedEvent, Mint
from actors.protocol.supervisor import GetLiveCoin as GetLiveCoin  # noqa: PLC0414 - part of this room's vocabulary
from actors.runtime.messages import Batch, Message


class FeedSlice(Batch, frozen=True):
    """The connection's events of one slice that have no route, and every create. Data lane.

    `events` are `Coin`, `Trade` and `Migration` in order of arrival; each is handled, and can fail,
    on its own.
    """

    events: tuple[FeedEvent, ...]


class CoinsRemembered(Message, frozen=True):
    """After a restart: coins whose time in the cache was over before, so that they are known.

    Data lane, from the connection, in front of the first create that counts.
    """

    coins: tuple[Coin, ...]


class RouteSwitched(Message, frozen=True):
    """The connection sends the mint's trades to `tracker:<mint>` from now on.

    Data lane, behind the mint's last event here. Discovery answers by telling the tracker
    `HandOver` with what the cache holds of it.
    """

    mint: Mint


class RouteClosed(Message, frozen=True):
    """The mint is no longer tracked.

    Data lane; told to discovery, and to the tracker behind the mint's last trade. The tracker cuts
    its candle at `at_us` (one past the last stamp), writes it and stops. Never refused: a tracker
    that does not hear it would never end.
    """

    must_arrive: ClassVar[bool] = True

    mint: Mint
    at_us: int


class CoinsDelivered(Message, frozen=True):
    """The n8n-writer has delivered these coins. Data lane."""

    mints: tuple[Mint, ...]


class CacheStatus(Message, frozen=True):
    """Published by discovery after every message that changed it.

    Ages are derived from the feed clock by the reader.
    """

    total: int
    activated: int
    expired: int
    cached_trades: int
    oldest_us: int | None
    newest_us: int | None
    discovered: int
    """Coins that passed the filter since the start."""
