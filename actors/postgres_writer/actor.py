"""The postgres-writer: rows, stream changes and all-time highs into the database, in batches.

Purpose: gather by count or age, write one transaction a batch, and keep what cannot be written.
Guarantees: items of one mint are committed in the order they were told. A batch that the database
refuses is halved until the bad item stands alone; that one is a dead letter, the others are
committed. While the database is away up to `MEMORY_ROWS` rows stay in memory; beyond that the
oldest go to the spool, and leave it before anything in memory is written. When the spool refuses as
well, new rows are parked: refused, with everything later of their mint, and left to the journal.
Whatever ends the actor, what it held in memory is on disk afterwards or, when even that fails, in
its state. Not guaranteed: exactly once towards the database. A batch whose commit was not
acknowledged is written again; rows are identified by mint and timestamp, so that changes nothing.
Relies on: a pinned thread. One turn blocks about `CHECKOUT_S` for a connection, `LOCK_S` for a lock
and the session's statement timeout for each statement at most.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar, Final

import psycopg

from actors.control import STREAM_WATCH, SUPERVISOR, Drained
from actors.domain import Place
from actors.postgres_writer.batch import Item, halves, mint_of, pause_s, sort_out
from actors.postgres_writer.database import server_is_gone
from actors.postgres_writer.messages import ResizeBatches, WriterStatus
from actors.postgres_writer.outbox import Outbox, Piece
from actors.runtime import Actor, Flush, Message
from actors.spool import SpoolError
from actors.stream_watch.messages import StreamChangesCommitted
from db.errors import Verdict, classify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.postgres_writer.batch import Contents
    from actors.postgres_writer.database import Database
    from actors.postgres_writer.state import WriterState
    from actors.runtime import Context
    from actors.spool import Spool

FLUSH_S: Final = 5.0
"""How long a flush tries the database before it stores what is left."""

_TURN_S: Final = 2.0
"""A batch full of bad rows is halved for this long a turn; the rest waits for the next one."""
_STATUS_S: Final = 1.0
"""How old the published status may become while rows keep coming and none are written."""
_US_PER_SECOND: Final = 1_000_000
_TEXT_LIMIT: Final = 300

_WRITE_ERRORS: Final = (psycopg.Error, OSError, ValueError, TypeError, ArithmeticError)


class _WriteDue(Message, frozen=True):
    """A batch is full or old enough. To oneself, data lane; one at a time."""

    keyed: ClassVar[bool] = True
    internal: ClassVar[bool] = True


class _RetryDue(Message, frozen=True):
    """The pause after a failure is over. To oneself, data lane."""

    internal: ClassVar[bool] = True


class PostgresWriterActor(Actor):
    """See the module's docstring.

    Args:
        context: The runtime.
        state: What outlives this instance.
        spool: The spool's file, for this writer alone; opened and closed by the actor.
        database: Where batches go; closed by the actor.
        jitter: Random numbers in 0..1 for the pauses.
    """

    pinned: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        *,
        state: WriterState,
        spool: Spool,
        database: Database,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(context)
        self._state = state
        self._outbox = Outbox(context, state, spool)
        self._database = database
        self._jitter = jitter
        self._batch_rows = context.settings.db_batch_size
        self._batch_age_s = context.settings.db_batch_timeout_ms / 1000
        self._failures = 0
        self._failing_since_s = 0.0
        self._published_s = 0.0
        self._database_state = "unknown"
        self._last_error: str | None = None

    def on_start(self) -> None:
        """Open the spool; what is in it goes out first, then what the last instance left."""
        self._outbox.open()
        self._publish()
        self._arm()

    def on_receive(self, message: Any) -> Any:
        """Gather, or write when a timer says so."""
        match message:
            case _WriteDue():
                self._write_due()
            case _RetryDue():
                self._write()
            case Flush():
                self._flush()
            case ResizeBatches():
                self._resize(message)
            case _:
                self._gather(message)

    def on_stop(self) -> None:
        """Store what is in memory; give connections and files back."""
        self._outbox.close()
        self._publish()
        self._database.close()

    # Gathering.

    def _gather(self, item: Item) -> None:
        if self._outbox.is_parked(item) or not self._has_room():
            self._outbox.park(item)
            return
        first = self._outbox.add(item)
        if first or self._published_s + _STATUS_S < self.context.monotonic_s():
            self._publish()
        if self._failures:
            return
        if self._state.backlog.rows >= self._batch_rows:
            self.context.tell_self(_WriteDue())
        elif first:
            self.context.after("write", self._batch_age_s, _WriteDue())

    def _has_room(self) -> bool:
        """Make room in memory when there is none: by writing, else by storing the oldest."""
        if not self._outbox.full:
            return True
        if not self._failures:
            self._write()
        if self._outbox.full:
            self._outbox.store_oldest()
            self._publish()
        return not self._outbox.full

    def _resize(self, message: ResizeBatches) -> None:
        if message.rows is not None:
            self._batch_rows = message.rows
        if message.age_ms is not None:
            self._batch_age_s = message.age_ms / 1000
        self._arm()

    # When to write.

    def _due_in_s(self) -> float | None:
        if self._outbox.stats.entries:
            return 0.0
        now_s = self.context.monotonic_s()
        return self._state.backlog.due_in_s(now_s, self._batch_rows, self._batch_age_s)

    def _arm(self) -> None:
        """See to it that what is due gets written; after a failure the retry's timer does that."""
        due_in_s = None if self._failures else self._due_in_s()
        if due_in_s == 0.0:
            self.context.tell_self(_WriteDue())
        elif due_in_s is not None:
            self.context.after("write", due_in_s, _WriteDue())

    def _write_due(self) -> None:
        if self._failures:
            return
        if self._due_in_s() == 0.0:
            self._write()
        else:
            self._arm()

    def _write(self) -> None:
        """Write one batch and see to the next one, or to another try."""
        if not self._outbox.left:
            self._failures = 0
            return
        self._take_up(self._write_batch(None))
        self._publish()
        self._arm()

    def _flush(self) -> None:
        """Write everything within `FLUSH_S`, store the rest, report."""
        deadline_s = self.context.monotonic_s() + FLUSH_S
        while self._outbox.left and (left_s := deadline_s - self.context.monotonic_s()) > 0:
            error = self._write_batch(left_s)
            self._take_up(error)
            if error is not None:
                break
        self._outbox.store_all()
        self._publish()
        self._arm()
        undelivered = self._outbox.left
        self.context.tell(SUPERVISOR, Drained(name=self.context.name, undelivered=undelivered))

    # Writing a batch.

    def _write_batch(self, limit_s: float | None) -> Exception | None:
        """Write the oldest batch; return the error that stopped it and does not blame a row."""
        try:
            self._write_pieces(self._outbox.oldest(self._batch_rows), limit_s)
        except (*_WRITE_ERRORS, SpoolError) as error:
            return error
        return None

    def _write_pieces(self, pieces: Sequence[Piece], limit_s: float | None) -> None:
        """Write pieces in order, halving around the refused ones; may leave some for later.

        Raises:
            psycopg.Error, OSError, SpoolError: Try again later; what was settled stays settled.
        """
        deadline_s = self.context.monotonic_s() + _TURN_S
        rest: list[Sequence[Piece]] = [pieces] if pieces else []
        while rest:
            chunk = rest.pop()
            try:
                self._commit(chunk, limit_s)
            except _WRITE_ERRORS as error:
                verdict = classify(error, single=len(chunk) == 1)
                self.context.telemetry.db_errors.labels(type=verdict.value).inc()
                if verdict is Verdict.RETRY:
                    raise
                if verdict is Verdict.SPLIT:
                    first, second = halves(chunk)
                    rest += [second, first]
                    continue
                self._bury(chunk[0], error)
            if self.context.monotonic_s() > deadline_s:
                return

    def _commit(self, chunk: Sequence[Piece], limit_s: float | None) -> None:
        contents = sort_out([item for item, _ in chunk])
        began_s = self.context.monotonic_s()
        inserted = self._database.write(contents, limit_s)
        took_s = self.context.monotonic_s() - began_s
        self._outbox.settle(chunk, Place.COMMITTED)
        self._state.committed_rows += len(contents.candles)
        mints = tuple(m for item in contents.changes if (m := mint_of(item)) is not None)
        if mints:
            self.context.tell(STREAM_WATCH, StreamChangesCommitted(mints))
        self._measure(contents, inserted, took_s)

    def _bury(self, piece: Piece, error: Exception) -> None:
        self._outbox.settle([piece], Place.DEAD)
        self.context.dead_letter(piece.item, "refused", error)
        self.context.log.error("row_refused", mint=mint_of(piece.item), error=_one_line(error))

    def _measure(self, contents: Contents, inserted: int, took_s: float) -> None:
        telemetry = self.context.telemetry
        telemetry.metrics_saved.inc(inserted)
        telemetry.ath_updates.inc(len(contents.aths))
        telemetry.batch_rows.observe(len(contents.candles))
        telemetry.commit_seconds.observe(took_s)
        telemetry.flush_duration_seconds.observe(took_s)
        now_us = self.context.now_us()
        for candle in contents.candles:
            late_s = (now_us - candle.timestamp_us) / _US_PER_SECOND
            telemetry.window_to_commit_seconds.observe(max(0.0, late_s))

    # Success and failure.

    def _take_up(self, error: Exception | None) -> None:
        """Note how a batch went, and arm another try after a failure."""
        if error is None:
            self._succeeded()
        else:
            self._failed(error)

    def _succeeded(self) -> None:
        if self._failures:
            away_s = self.context.monotonic_s() - self._failing_since_s
            left = self._outbox.left
            self.context.log.info("database_back", away_s=round(away_s, 1), rows_waiting=left)
        self._failures = 0
        self._last_error = None
        self._database_state = "up"
        self.context.telemetry.db_connected.set(1)

    def _failed(self, error: Exception) -> None:
        """Put the batch off: it stays where it is; the next try comes after a growing pause."""
        away = server_is_gone(error)
        if not self._failures:
            self._failing_since_s = self.context.monotonic_s()
            event = "database_away" if away else "write_postponed"
            self.context.log.warning(event, error=_one_line(error))
        self._failures += 1
        self._last_error = _one_line(error)
        if away:
            self._database_state = "away"
            self.context.telemetry.db_connected.set(0)
            self._database.forget()
        self.context.cancel("write")
        self.context.after("retry", pause_s(self._failures, self._jitter()), _RetryDue())

    def _publish(self) -> None:
        self._published_s = self.context.monotonic_s()
        state, stats = self._state, self._outbox.stats
        self.context.publish(
            WriterStatus(
                database=self._database_state,
                last_error=self._last_error,
                rows_waiting=state.backlog.rows,
                rows_spooled=stats.entries,
                rows_committed=state.committed_rows,
                oldest_waiting_us=state.journal_needed_from_us,
                rows_parked=state.parked_rows,
                spool_bytes=stats.file_bytes,
                spool_oldest_us=stats.oldest_put_us,
            )
        )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_TEXT_LIMIT]
