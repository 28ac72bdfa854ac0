"""One transaction for one batch, and the pool it runs on. Blocks; the limits stand at each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import psycopg
from psycopg_pool import PoolTimeout

from actors.postgres_writer.messages import StreamPhaseChanged, StreamStarted
from db import coins, gaps, metrics, streams, transactions

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.postgres_writer.batch import Contents
    from actors.postgres_writer.messages import StreamChange
    from db.pool import Connection, Pool

CHECKOUT_S: Final = 2.0
"""How long a batch waits for a connection, and with it for a name lookup that hangs."""
LOCK_S: Final = 3.0
"""How long a batch waits for a lock that somebody else holds, before it is put off."""

_GONE: Final = ("08", "57P")
"""Beginnings of SQLSTATEs: connection exceptions, and the shutdowns of a server or a session."""


class Database(Protocol):
    """Where a writer's batches go."""

    def write(self, contents: Contents, limit_s: float | None) -> int:
        """Write a batch, whole or not at all; return how many candles were new.

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
    """A `Database` on a pool of its own, opened at the first batch.

    A pool that has lost its server tries again in growing pauses of its own; the writer has a
    schedule already, so it forgets the pool after a loss and begins a new one when it tries again.
    The pool connects in threads of its own, so that a lookup that hangs costs `CHECKOUT_S`.

    Args:
        pool_factory: Makes a pool that is not open yet.
        whale_lamports: A stored trade of at least this much is marked as a whale's.

    Raises:
        db.errors.DsnError: The connection string cannot be used.
    """

    def __init__(self, pool_factory: Callable[[], Pool], *, whale_lamports: int) -> None:
        self._pool_factory = pool_factory
        self._whale_lamports = whale_lamports
        self._refusals: list[str] = []
        # Made here, still closed, so that a connection string that cannot be used blames no row.
        self._pool: Pool | None = self._make_pool()

    def write(self, contents: Contents, limit_s: float | None) -> int:
        """Write a batch in one transaction; see `Database.write`."""
        if self._pool is None:
            self._pool = self._make_pool()
        self._pool.open(wait=False)
        checkout_s = CHECKOUT_S if limit_s is None else min(CHECKOUT_S, limit_s)
        try:
            with self._pool.connection(timeout=checkout_s) as connection:
                _limit(connection, limit_s)
                return _write(connection, contents, self._whale_lamports)
        except PoolTimeout as timeout:
            # The pool's own text only says that it took too long.
            raise psycopg.OperationalError((self._refusals or [str(timeout)])[-1]) from timeout

    def mark_whales(self, lamports: int) -> None:
        """Use another threshold; see `Database.mark_whales`."""
        self._whale_lamports = lamports

    def _make_pool(self) -> Pool:
        pool = self._pool_factory()
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


def _write(connection: Connection, contents: Contents, whale_lamports: int) -> int:
    inserted = metrics.copy_candles(connection, contents.candles) if contents.candles else 0
    for change in contents.changes:
        _apply(connection, change)
    streams.raise_aths(connection, contents.aths)
    if contents.traded:
        trades = [(t, closed.candle.phase_id) for closed in contents.traded for t in closed.trades]
        transactions.copy_trades(connection, trades, whale_lamports=whale_lamports)
    for gap in contents.gaps:
        gaps.insert_gap(connection, gap)
    return inserted


def _apply(connection: Connection, change: StreamChange) -> None:
    match change:
        case StreamStarted(coin, phase_id, started_us):
            coins.upsert_coin(connection, coin)
            streams.start_stream(connection, coin.mint, phase_id, started_us)
        case StreamPhaseChanged(mint, phase_id):
            streams.change_phase(connection, mint, phase_id)
        case _:
            graduated = change.graduated
            streams.end_stream(connection, change.mint, change.phase_id, graduated=graduated)
