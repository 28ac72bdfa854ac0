"""What a postgres-writer receives.

One writer gets everything about a mint, so its rows commit in order.
"""

from __future__ import annotations

from actors.domain import AllTimeHigh, Candle, Coin, FeedGap, Mint, Trade
from actors.runtime.messages import Message


class CandleClosed(Message):
    """A tracker's window has ended. Data lane.

    `ath` is set when the window raised it; `trades` holds the candle's trades when STORE_TRADES is
    on, else nothing.
    """

    candle: Candle
    ath: AllTimeHigh | None = None
    trades: tuple[Trade, ...] = ()


class AthReached(Message):
    """A tracker's all-time high rose since it was last told.

    Data lane; at most one per ATH_FLUSH_INTERVAL and mint.
    """

    ath: AllTimeHigh


class StreamStarted(Message):
    """Discovery activated a coin by itself (ACTIVATION=trades).

    Write `discovered_coins` and `coin_streams`. Data lane.
    """

    coin: Coin
    phase_id: int
    started_us: int


class StreamPhaseChanged(Message):
    """A tracker moved on to another phase. Data lane."""

    mint: Mint
    phase_id: int


class StreamEnded(Message):
    """A tracker has ended for good.

    The stream becomes inactive, in phase 99 or 100. Data lane, behind its last candle.
    """

    mint: Mint
    phase_id: int
    graduated: bool
    at_us: int


class GapRecorded(Message):
    """The connection was without data for a while. Data lane, always to writer 0."""

    gap: FeedGap


StreamChange = StreamStarted | StreamPhaseChanged | StreamEnded


class WriterStatus(Message):
    """Published by a writer after every batch and every failure."""

    database: str
    """"up", "away" or "unknown"."""
    last_error: str | None
    rows_waiting: int
    rows_spooled: int
    rows_committed: int
    oldest_waiting_us: int | None
