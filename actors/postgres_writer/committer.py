"""Writes one batch: in one transaction, or in halves around the rows that are refused.

Guarantees: pieces are committed in order, each is settled in the step that commits or buries it,
and stream-watch hears what became of every stream change. An error that blames no row ends the
batch where it stands; what was settled stays settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from actors.control import STREAM_WATCH
from actors.domain import Place
from actors.postgres_writer.batch import halves, mint_of, sort_out
from actors.postgres_writer.messages import StreamEnded
from actors.spool import SpoolError
from actors.stream_watch.messages import StreamChangesCommitted
from db.errors import Verdict, classify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.postgres_writer.batch import Contents
    from actors.postgres_writer.database import Database
    from actors.postgres_writer.messages import StreamChange
    from actors.postgres_writer.outbox import Outbox, Piece
    from actors.postgres_writer.state import WriterState
    from actors.runtime import Context

_TURN_S: Final = 2.0
"""A batch full of bad rows is halved for this long a turn; the rest waits for the next one."""
_US_PER_SECOND: Final = 1_000_000
_TEXT_LIMIT: Final = 300

_WRITE_ERRORS: Final = (psycopg.Error, OSError, ValueError, TypeError, ArithmeticError)


class Committer:
    """See the module's docstring. Blocks as the database does."""

    def __init__(
        self, context: Context, state: WriterState, outbox: Outbox, database: Database
    ) -> None:
        self._context = context
        self._state = state
        self._outbox = outbox
        self._database = database

    def write(self, rows: int, limit_s: float | None) -> Exception | None:
        """Write the oldest batch; return the error that stopped it and does not blame a row.

        Args:
            rows: How many the batch has at most.
            limit_s: Bound for one statement in seconds; None leaves the session's own.
        """
        try:
            self._write_pieces(self._outbox.oldest(rows), limit_s)
        except (*_WRITE_ERRORS, SpoolError) as error:
            return error
        return None

    def _write_pieces(self, pieces: Sequence[Piece], limit_s: float | None) -> None:
        """Write pieces in order, halving around the refused ones; may leave some for later.

        Raises:
            psycopg.Error, OSError, SpoolError: Try again later; what was settled stays settled.
        """
        deadline_s = self._context.monotonic_s() + _TURN_S
        rest: list[Sequence[Piece]] = [pieces] if pieces else []
        while rest:
            chunk = rest.pop()
            try:
                self._commit(chunk, limit_s)
            except _WRITE_ERRORS as error:
                verdict = classify(error, single=len(chunk) == 1)
                self._context.telemetry.db_errors.labels(type=verdict.value).inc()
                if verdict is Verdict.RETRY:
                    raise
                if verdict is Verdict.SPLIT:
                    first, second = halves(chunk)
                    rest += [second, first]
                    continue
                self._give_up(chunk[0], error)
            if self._context.monotonic_s() > deadline_s:
                return

    def _commit(self, chunk: Sequence[Piece], limit_s: float | None) -> None:
        contents = sort_out([item for item, _ in chunk])
        began_s = self._context.monotonic_s()
        inserted = self._database.write(contents, limit_s)
        took_s = self._context.monotonic_s() - began_s
        self._outbox.settle(chunk, Place.COMMITTED)
        self._state.committed_rows += len(contents.candles)
        self._tell(contents.changes)
        self._measure(contents, inserted, took_s)

    def _give_up(self, piece: Piece, error: Exception) -> None:
        self._outbox.give_up([piece], error)
        self._context.log.error("row_refused", mint=mint_of(piece.item), error=one_line(error))

    def _tell(self, changes: Sequence[StreamChange]) -> None:
        mints = [mint for change in changes if (mint := mint_of(change)) is not None]
        if mints:
            self._context.tell(STREAM_WATCH, StreamChangesCommitted(tuple(mints)))
        for mint, change in zip(mints, changes, strict=True):
            active = not isinstance(change, StreamEnded)
            self._context.note(mint, "stream_committed", phase=change.phase_id, active=active)

    def _measure(self, contents: Contents, inserted: int, took_s: float) -> None:
        telemetry = self._context.telemetry
        telemetry.metrics_saved.inc(inserted)
        telemetry.ath_updates.inc(len(contents.aths))
        telemetry.batch_rows.observe(len(contents.candles))
        telemetry.commit_seconds.observe(took_s)
        telemetry.flush_duration_seconds.observe(took_s)
        now_us = self._context.now_us()
        for candle in contents.candles:
            late_s = (now_us - candle.timestamp_us) / _US_PER_SECOND
            telemetry.window_to_commit_seconds.observe(max(0.0, late_s))


def one_line(error: BaseException) -> str:
    """Give an error's text as one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_TEXT_LIMIT]
