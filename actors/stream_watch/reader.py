"""What stream-watch reads from the database, on a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from psycopg import sql

from db import aside, phases, streams
from db.pool import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from actors.domain import Mint, Phase
    from db.aside import Kept, Kind
    from db.pool import Connection
    from db.streams import StreamRow

STREAMS_CHANNEL: Final = "mintwatch_streams"
PHASES_CHANNEL: Final = "mintwatch_phases"
EVERYTHING: Final = "*"
"""Payload that names no mint: look at all streams."""

_STATEMENT_S: Final = 10.0
_LOCK_S: Final = 2.0
_NOTIFICATIONS: Final = 10_000
_MOST_BATCHES: Final = 100
"""Of 1,000 rows each, which one reading moves aside: some 4 s, in which nothing else is read."""


class Notification(NamedTuple):
    """That somebody changed a stream or the phases."""

    channel: str
    payload: str
    """A mint, or `EVERYTHING`; empty for phases."""


class StreamReader(Protocol):
    """A connection to the streams; all but `fileno` and `close` may raise psycopg.Error."""

    def listen(self) -> None:
        """Ask to be told of changes."""

    def phases(self) -> tuple[Phase, ...]:
        """Read every phase, by id."""

    def active(self) -> Iterable[Mint]:
        """Read the mints of all active streams."""

    def streams(self, mints: Iterable[Mint]) -> Sequence[StreamRow]:
        """Read all that is known of these mints' streams; mints without a stream are left out."""

    def kept(self) -> Kept:
        """Count the rows that stand aside and were not acknowledged."""

    def acknowledge(self, what: Kind) -> int:
        """Note that an operator has looked at rows that stand aside; say how many there were."""

    def notifications(self) -> list[Notification]:
        """Take what has been told since the last call, without waiting."""

    def fileno(self) -> int:
        """Give a descriptor that is readable when there may be notifications."""

    def close(self) -> None:
        """Give the connection back; never raises."""


class RowClock(NamedTuple):
    """What the times of rows are held against."""

    now_us: Callable[[], int | None]
    """The arrival clock; None for a recording, whose times have nothing to do with it."""
    moved: Callable[[int], None]
    """Hears how many rows were moved aside because they end later; 0 at times."""


class PostgresReader:
    """A `StreamReader` on PostgreSQL: a statement blocks for 10 s at most, a dead peer for 30."""

    def __init__(self, connection: Connection, journal_id: int, clock: RowClock) -> None:
        self._connection = connection
        self._journal_id = journal_id
        self._clock = clock

    @classmethod
    def open(cls, dsn: str, journal_id: int, clock: RowClock) -> PostgresReader:
        """Connect. Blocks for a few seconds a host address, and on a name lookup without a limit.

        Args:
            dsn: The database.
            journal_id: Whose numbers are looked for in rows; 0: nobody's.
            clock: What rows are held against.

        Raises:
            db.errors.DsnError: The connection string cannot be used.
            psycopg.OperationalError: The server cannot be reached or refuses.
        """
        connection = connect(
            dsn,
            application_name="mintwatch stream-watch",
            statement_timeout_s=_STATEMENT_S,
            lock_timeout_s=_LOCK_S,
            autocommit=True,
        )
        return cls(connection, journal_id, clock)

    def listen(self) -> None:
        """Listen on both channels."""
        for channel in (STREAMS_CHANNEL, PHASES_CHANNEL):
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def phases(self) -> tuple[Phase, ...]:
        """Read every phase, by id."""
        return phases.all_phases(self._connection)

    def active(self) -> Iterable[Mint]:
        """Read the mints of all active streams: one query over one column."""
        return streams.active_mints(self._connection)

    def streams(self, mints: Iterable[Mint]) -> Sequence[StreamRow]:
        """Read these mints' streams with creator, age, newest row and all-time high.

        Their rows that end in the future are moved aside, 100,000 at most: a coin's next window
        could not begin before they end. More are moved when they are read again.
        """
        asked = list(mints)
        found = self._read(asked)
        now_us = self._clock.now_us()
        if now_us is None or all((row.last_row_us or 0) <= now_us for row in found):
            return found
        moved = aside.move_ahead(self._connection, now_us, mints=asked, most_batches=_MOST_BATCHES)
        self._clock.moved(moved)
        return self._read(asked)

    def _read(self, mints: Sequence[Mint]) -> Sequence[StreamRow]:
        return streams.read_streams(self._connection, mints, self._journal_id)

    def move_ahead(self, after_us: int) -> None:
        """Move the rows of ours aside that end after an instant. Blocks: 1,000 rows in 20 ms.

        Raises:
            psycopg.Error: What was moved so far stays moved.
        """
        self._clock.moved(aside.move_ahead(self._connection, after_us))

    def kept(self) -> Kept:
        """Count the rows that stand aside and were not acknowledged."""
        return aside.kept(self._connection)

    def acknowledge(self, what: Kind) -> int:
        """Note that an operator has looked at rows that stand aside."""
        return aside.acknowledge(self._connection, what)

    def notifications(self) -> list[Notification]:
        """Take what has come, at most about 10,000 at a time."""
        found = self._connection.notifies(timeout=0, stop_after=_NOTIFICATIONS)
        return [Notification(notify.channel, notify.payload) for notify in found]

    def fileno(self) -> int:
        """Give the socket's descriptor."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
