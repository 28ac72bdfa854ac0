"""What a postgres-writer receives.

One writer gets everything about a mint, so its rows commit in order.
"""

from __future__ import annotations

from typing import ClassVar

from actors.domain import AllTimeHigh, Candle, Coin, FeedGap, Mint, Trade
from actors.runtime.messages import Control, Message


class _Written(Message, frozen=True):
    """Something to be written. Taken by a full mailbox too, since its sender keeps no copy.

    So a writer that stands in a statement for long is no reason to lose a row. What can wait for it
    meanwhile is bounded by the feed: past a total of waiting events the socket is not read, and
    then each tracker closes the window that is open, and no other. As soon as the writer runs again
    it takes rows into memory and, past its bound there, to disk.
    """

    must_arrive: ClassVar[bool] = True


class CandleClosed(_Written, frozen=True):
    """A tracker's window has ended. Data lane.

    `ath` is set when the window raised it; `trades` holds the candle's trades when STORE_TRADES is
    on, else nothing.
    """

    candle: Candle
    ath: AllTimeHigh | None = None
    trades: tuple[Trade, ...] = ()


class AthReached(_Written, frozen=True):
    """A tracker's all-time high rose since it was last told.

    Data lane; at most one per ATH_FLUSH_INTERVAL and mint.
    """

    ath: AllTimeHigh


class StreamStarted(_Written, frozen=True):
    """Discovery activated a coin by itself (ACTIVATION=trades).

    Write `discovered_coins` and `coin_streams`. Data lane.
    """

    coin: Coin
    phase_id: int
    started_us: int


class StreamPhaseChanged(_Written, frozen=True):
    """A tracker moved on to another phase. Data lane."""

    mint: Mint
    phase_id: int


class StreamEnded(_Written, frozen=True):
    """A tracker has ended for good.

    The stream becomes inactive, in phase 99 or 100. Data lane, behind its last candle.
    """

    mint: Mint
    phase_id: int
    graduated: bool
    at_us: int


class GapRecorded(_Written, frozen=True):
    """The connection was without data for a while. Data lane, always to writer 0."""

    gap: FeedGap


class StoreTrade(_Written, frozen=True):
    """Store one trade whose candle is in rows already. Data lane.

    A trade that `coin_transactions` refuses is a dead letter of this form, and an operator sends it
    again. The ledger counts the trade with its candle. Few of them are kept as letters, so that a
    table that takes no trade cannot push candles out of there.
    """

    kept_letters: ClassVar[int | None] = 100

    trade: Trade
    phase_id: int


class StoreCoin(_Written, frozen=True):
    """Describe a coin in `discovered_coins` whose stream is written already. Data lane.

    What that table refuses is a dead letter of this form, and an operator sends it again.
    """

    coin: Coin


StreamChange = StreamStarted | StreamPhaseChanged | StreamEnded


class PrepareMove(Message, frozen=True):
    """There are `writers` postgres-writers from now on, and mints may have another one.

    From the supervisor, through the table of routes: everything sent to this writer before stands
    in front of it. Data lane, never refused. The writer commits or stores all it holds, tells the
    supervisor `MovePrepared`, and takes no more data until `FinishMove`. A writer that is no longer
    wanted is stopped instead. An epoch that was prepared or finished already changes nothing.
    """

    must_arrive: ClassVar[bool] = True

    writers: int
    epoch: int


class MovePrepared(Message, frozen=True):
    """A writer holds nothing in memory any more, as asked by `PrepareMove`.

    To the supervisor, data lane; never refused. Told within about 20 s, and more than once when the
    writer failed in the middle.
    """

    must_arrive: ClassVar[bool] = True

    name: str
    epoch: int


class FinishMove(Control, frozen=True):
    """Every old writer has prepared, and the spool has been shared out anew: go on.

    From the supervisor to every writer there is now. Control lane. A repeated or an older epoch
    changes nothing.
    """

    epoch: int


class WriterStatus(Message, frozen=True):
    """Published by a writer with its first waiting row, after every batch and every failure.

    At most a second old while rows come and none are written.
    """

    database: str
    """"up": the last batch was written. "away": there is no connection. "refusing": the server
    answers, and no batch can be written (read-only, a missing table or right, a full disk, a lock).
    "unknown": nothing was tried yet.
    """
    last_error: str | None
    """Why the last batch was not written; None once one was."""
    rows_waiting: int
    """In memory."""
    rows_spooled: int
    """On disk, under this writer's name."""
    rows_committed: int
    """Candles committed since the start of the process.

    Those that were there already, or stand aside as ahead, are included; conflicts are not.
    """
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
    prepared_epoch: int = 0
    """The move it waits for the end of, holding nothing in memory; 0: it waits for none."""
    refusing_since_us: int | None = None
    """Since when the server answers and writes nothing; None unless `database` is "refusing"."""
