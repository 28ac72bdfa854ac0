"""One transaction for one batch, and the pool it runs on. Blocks; the limits stand at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from actors.domain import Candle
from actors.protocol.postgres_writer import (
    StoreCoin,
    StoreTrade,
    StreamPhaseChanged,
    StreamStarted,
)
from db import candles, coins, gaps, streams, transactions
from db.errors import Verdict, classify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.domain import Coin, Session
    from actors.postgres_writer.batch import Contents
    from actors.protocol.postgres_writer import StreamChange
    from db.pool import Connection, Pool

CHECKOUT_S: Final = 2.0
"""How long a batch waits for a connection, and with it for a name lookup that hangs."""
LOCK_S: Final = 3.0
"""How long a batch waits for a lock that somebody else holds, before it is put off."""

WRITE_ERRORS: Final = (psycopg.Error, OSError, ValueError, TypeError, ArithmeticError)
"""What writing a batch can raise."""

_GONE: Final = ("08", "57P")
"""Beginnings of SQLSTATEs: connection exceptions, and the shutdowns of a server or a session."""


class RefusedRow(NamedTuple):
    """Something small that its table does not take, while all the rest of the batch was written."""

    item: StoreTrade | StoreCoin
    error: Exception


class TradeConflict(NamedTuple):
    """A stored trade that is there already, with another amount or price."""

    item: StoreTrade
    there: transactions.Conflict


class BatchOutcome(msgspec.Struct, frozen=True):
    """What became of a batch that was written."""

    new: int = 0
    """Candles whose row is new."""
    repeated: int = 0
    """Candles whose row was there already, with the same figures."""
    conflicts: tuple[Candle, ...] = ()
    """Candles whose row was there already, with other figures; kept beside the rows."""
    ahead: int = 0
    """Candles of an earlier run whose clock was ahead; kept beside the rows."""
    refused: tuple[RefusedRow, ...] = ()
    trades_new: int = 0
    """Stored trades whose row is new."""
    trades_repeated: int = 0
    """Stored trades that were there already, with the same amount and price."""
    trade_conflicts: tuple[TradeConflict, ...] = ()


class WriterDatabase(Protocol):
    """Where a writer's batches go."""

    def write(self, contents: Contents, limit_s: float | None) -> BatchOutcome:
        """Write a batch, whole or not at all, but for single trades and coins that are refused.

        Args:
            contents: What to write.
            limit_s: Bound for one statement in seconds; None leaves the session's own.

        Raises:
            psycopg.Error: The database refused, or is away.
            ValueError: A value of the batch cannot be written.
        """

    def mark_whales(self, lamports: int) -> None:
        """Mark stored trades of at least this much as a whale's from now on."""

    def forget(self) -> None:
        """Drop the connections; the next `write` opens new ones. Never raises."""

    def close(self) -> None:
        """Give the connections back. Never raises; `write` would open new ones."""


class PooledDatabase:
    """A `WriterDatabase` on a pool of its own, opened at the first batch.

    A pool that has lost its server tries again in growing pauses of its own; the writer has a
    schedule already, so it forgets the pool after a loss and begins a new one when it tries again.
    The pool connects in threads of its own, so that a lookup that hangs costs `CHECKOUT_S`.

    Args:
        pool_factory: Makes a pool that is not open yet.
        whale_lamports: A stored trade of at least this much is marked as a whale's.
        session: This run, whose numbers go into the rows.
        announce: What is notified with a commit (NOTIFY_CANDLES); nothing where a trigger of the
            table does that already.

    Raises:
        db.errors.DsnError: The connection string cannot be used.
    """

    def __init__(
        self,
        pool_factory: Callable[[], Pool],
        *,
        whale_lamports: int,
        session: Session,
        announce: str = "off",
    ) -> None:
        self._pool_factory = pool_factory
        self._session = session
        self._whale_lamports = whale_lamports
        self._announce = announce
        self._announces_now: str | None = None
        self._refusals: list[str] = []
        # Made here, still closed, so that a connection string that cannot be used blames no row.
        self._pool: Pool | None = self._make_pool()

    def write(self, contents: Contents, limit_s: float | None) -> BatchOutcome:
        """Write a batch in one transaction; see `WriterDatabase.write`."""
        if self._pool is None:
            self._pool = self._make_pool()
        self._pool.open(wait=False)
        checkout_s = CHECKOUT_S if limit_s is None else min(CHECKOUT_S, limit_s)
        try:
            with self._pool.connection(timeout=checkout_s) as connection:
                _limit(connection, limit_s)
                announce = self._announcing(connection)
                return _write(connection, contents, self._whale_lamports, self._session, announce)
        except PoolTimeout as timeout:
            # The pool's own text only says that it took too long.
            raise psycopg.OperationalError((self._refusals or [str(timeout)])[-1]) from timeout

    def _announcing(self, connection: Connection) -> str:
        """Say what to notify; the table is looked at once a pool."""
        if self._announces_now is None:
            is_done = self._announce == "off" or candles.announce_themselves(connection)
            self._announces_now = "off" if is_done else self._announce
        return self._announces_now

    def mark_whales(self, lamports: int) -> None:
        """Use another threshold; see `WriterDatabase.mark_whales`."""
        self._whale_lamports = lamports

    def _make_pool(self) -> Pool:
        pool = self._pool_factory()
        self._announces_now = None
        self._refusals.clear()
        pool.connection_class = _remembering(self._refusals)
        return pool

    def forget(self) -> None:
        """Close the pool without waiting for its threads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=0)

    def close(self) -> None:
        """Close the pool and wait a second for its threads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close(timeout=1.0)


def _remembering(refusals: list[str]) -> type[Connection]:
    """Make a class of connections that leaves its last failure to connect in `refusals`."""

    class Remembering(psycopg.Connection[Any]):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Self:
            try:
                return super().connect(conninfo, **options)
            except psycopg.Error as error:
                refusals[:] = [str(error)]
                raise

    return Remembering


def server_is_gone(error: BaseException) -> bool:
    """Say whether an error means that there is no connection, rather than that a server refused."""
    if not isinstance(error, psycopg.Error):
        return isinstance(error, OSError)
    return error.sqlstate is None or error.sqlstate.startswith(_GONE)


def _limit(connection: Connection, limit_s: float | None) -> None:
    """Bound the waits of this transaction, so that a lock held by others only puts it off."""
    lock_s = LOCK_S if limit_s is None else min(LOCK_S, limit_s)
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (_ms(lock_s),))
    if limit_s is not None:
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (_ms(limit_s),))


def _ms(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


def _write(
    connection: Connection,
    contents: Contents,
    whale_lamports: int,
    session: Session,
    announce: str,
) -> BatchOutcome:
    ahead = [candle for candle in contents.candles if _is_ahead(candle, session)]
    if ahead:
        candles.keep_ahead(connection, ahead, session.journal_id)
    rows = [c for c in contents.candles if not _is_ahead(c, session)] if ahead else contents.candles
    written = candles.CandlesWritten()
    if rows:
        written = candles.copy_candles(connection, rows, session.journal_id, announce)
    refused: list[RefusedRow] = []
    for change in contents.changes:
        refused += _apply(connection, change)
    for coin in contents.coins:
        refused += _describe(connection, coin)
    streams.raise_aths(connection, contents.aths)
    stored = transactions.TradesWritten(0)
    if contents.trades:
        stored = _store(connection, contents.trades, whale_lamports)
    refused += [RefusedRow(contents.trades[place], error) for place, error in stored.refused]
    for gap in contents.gaps:
        gaps.insert_gap(connection, gap)
    return BatchOutcome(
        new=written.new,
        repeated=written.repeated,
        conflicts=written.conflicts,
        ahead=len(ahead),
        refused=tuple(refused),
        trades_new=stored.new,
        trades_repeated=stored.repeated,
        trade_conflicts=tuple(
            TradeConflict(contents.trades[found.place], found) for found in stored.conflicts
        ),
    )


def _is_ahead(candle: Candle, session: Session) -> bool:
    """Tell a candle that an earlier run has spooled, and that ends in the time of this one."""
    return (
        candle.last_seq < session.first_seq and (candle.mint, candle.timestamp_us) in session.ahead
    )


def _apply(connection: Connection, change: StreamChange) -> list[RefusedRow]:
    """Apply one change; return the coin's description when that alone is refused."""
    match change:
        case StreamStarted(coin, phase_id, started_us):
            refused = _describe(connection, coin)
            streams.start_stream(connection, coin.mint, phase_id, started_us)
            return refused
        case StreamPhaseChanged(mint, phase_id):
            streams.change_phase(connection, mint, phase_id)
        case _:
            graduated = change.graduated
            streams.end_stream(connection, change.mint, change.phase_id, graduated=graduated)
    return []


def _describe(connection: Connection, coin: Coin) -> list[RefusedRow]:
    """Write a coin in a savepoint, so that nothing else hangs on its texts and figures."""
    try:
        with connection.transaction():
            coins.upsert_coin(connection, coin)
    except WRITE_ERRORS as error:
        if classify(error) is Verdict.RETRY:
            raise
        return [RefusedRow(StoreCoin(coin), error)]
    return []


def _store(
    connection: Connection, trades: Sequence[StoreTrade], whale_lamports: int
) -> transactions.TradesWritten:
    return transactions.copy_trades(
        connection,
        [(stored.trade, stored.phase_id) for stored in trades],
        whale_lamports=whale_lamports,
    )
