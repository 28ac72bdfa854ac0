"""What a postgres-writer receives.

One writer gets everything about a mint, so its rows commit in order.
"""

from __future__ import annotations

from actors.domain import AllTimeHigh, Candle, Coin, FeedGap, Mint, Trade
from actors.runtime.messages import Control, Message


class CandleClosed(Message, frozen=True):
    """A tracker's window has ended. Data lane.

    `ath` is set when the window raised it; `trades` holds the candle's trades when STORE_TRADES is
    on, else nothing.
    """

    candle: Candle
    ath: AllTimeHigh | None = None
    trades: tuple[Trade, ...] = ()


class AthReached(Message, frozen=True):
    """A tracker's all-time high rose since it was last told.

    Data lane; at most one per ATH_FLUSH_INTERVAL and mint.
    """

    ath: AllTimeHigh


class StreamStarted(Message, frozen=True):
    """Discovery activated a coin by itself (ACTIVATION=trades).

    Write `discovered_coins` and `coin_streams`. Data lane.
    """

    coin: Coin
    phase_id: int
    started_us: int


class StreamPhaseChanged(Message, frozen=True):
    """A tracker moved on to another phase. Data lane."""

    mint: Mint
    phase_id: int


class StreamEnded(Message, frozen=True):
    """A tracker has ended for good.

    The stream becomes inactive, in phase 99 or 100. Data lane, behind its last candle.
    """

    mint: Mint
    phase_id: int
    graduated: bool
    at_us: int


class GapRecorded(Message, frozen=True):
    """The connection was without data for a while. Data lane, always to writer 0."""

    gap: FeedGap


StreamChange = StreamStarted | StreamPhaseChanged | StreamEnded


class ResizeBatches(Control, frozen=True):
    """The API changes how much a batch gathers. Control lane. None leaves a figure as it is."""

    rows: int | None = None
    """A batch leaves at once when it has this many rows."""
    age_ms: int | None = None
    """A batch leaves when its oldest row has waited this long, in milliseconds."""


class WriterStatus(Message, frozen=True):
    """Published by a writer with its first waiting row, after every batch and every failure.

    At most a second old while rows come and none are written.
    """

    database: str
    """"up", "away" or "unknown"."""
    last_error: str | None
    """Why the last batch was not written; None once one was."""
    rows_waiting: int
    """In memory."""
    rows_spooled: int
    """On disk, under this writer's name."""
    rows_committed: int
    """Candles committed since the start of the process, those that were there already included."""
    oldest_waiting_us: int | None
    """Arrivals from here on are needed in the journal: their rows are in memory only, or parked.

    None: every candle this writer was told is in the database or on disk.
    """
    rows_parked: int = 0
    """Candles refused because memory and spool were full; they stay derivable from the journal."""
    spool_bytes: int = 0
    """Size of the whole spool file, all owners together."""
    spool_oldest_us: int | None = None
    """When the oldest row on disk was put there."""
